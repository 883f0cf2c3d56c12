"""Embed the pipeline upload -> separate -> status in three lines.

Shows:   Studio.open, upload, wait, open_stem; nothing else has to run.
Install: pip install "isomix[studio]"
Run:     python examples/studio_quickstart.py [RECORDING]
See:     "ready", and demo-output/studio/ with a file for each stem.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from song import get_song

from isomix import Studio

OUTPUT = Path("demo-output/studio")


def main() -> None:
    """Separate a recording and save its stems."""
    with Studio.open(f"sqlite:///{OUTPUT}/studio.db", f"{OUTPUT}/objects") as studio:
        project = studio.upload(get_song(), model="hpss")
        status = studio.wait(project.id)

        print(f"{project.name} is {status.status.value}")
        for stem in status.stems:
            path = OUTPUT / f"{stem.name}.{stem.format}"
            with studio.open_stem(project.id, stem.name) as file, path.open("wb") as target:
                shutil.copyfileobj(file, target)
            print(f"{path}: {stem.duration:.1f} s, peak {stem.peak:.2f}")


if __name__ == "__main__":
    main()
