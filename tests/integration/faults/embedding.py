"""An application that embeds a studio and its worker, to be killed: ``python -m ...embedding FOLDER``."""

from __future__ import annotations

import io
import sys
import threading
import time
from pathlib import Path

from tests.integration.faults.conftest import local_addresses
from tests.integration.faults.site import make_recording

from isomix import Studio


def tell(line: str) -> None:
    """Say something to the test, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class SlowFile(io.BytesIO):
    """An upload that comes in, and then does not go on."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; wait for ever when half have come."""
        if self.tell() * 2 > len(self.getbuffer()):
            tell("half an upload")
            time.sleep(600.0)
        return super().read(1000)


def main(folder: Path) -> None:
    """Upload three recordings and half a fourth; tell their projects' ids."""
    with Studio.open(**local_addresses(folder), queue="background", lease_seconds=2.0) as studio:
        for seed in range(3):
            project = studio.upload(make_recording(4, seed), model="testing:slow-250ms")
            tell(project.id)
        file = SlowFile(make_recording(4, 3))
        threading.Thread(target=studio.upload, args=(file,), kwargs={"model": "testing:tiny"}).start()
        time.sleep(600.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
