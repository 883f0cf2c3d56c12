"""Give a studio a store of your own: a folder whose stems have addresses.

Shows:   a store that changes one method, a studio composed by hand, stem_url.
Install: pip install "isomix[studio]"
Run:     python examples/studio_custom_store.py [RECORDING]
See:     a signed address for each stem, and that a changed one is not valid.
"""

from __future__ import annotations

import hashlib
import hmac
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from song import get_song

from isomix import Studio
from isomix.composition import Composition, find_limits
from isomix.domain.keys import check_key
from isomix.events import LocalBus
from isomix.persistence import open_database
from isomix.ports import ObjectStore, Ports
from isomix.queue import BackgroundQueue
from isomix.services.worker import JobWorker
from isomix.settings import StudioSettings
from isomix.storage.folder import FolderStore


class ServedFolder(FolderStore):
    """A folder that a web server of yours serves to whoever shows a signed address.

    Parameters
    ----------
    folder : Path
        As for `FolderStore`.
    address : str
        Where the web server serves it, such as ``"https://media.example/stems"``.
    secret : bytes
        Known to this and to the web server.
    """

    def __init__(self, folder: Path, address: str, secret: bytes) -> None:
        super().__init__(folder)
        self._address, self._secret = address, secret

    def sign_url(self, key: str, expires_seconds: float, filename: str) -> str:  # type: ignore[override]  # it has some
        """Return an address that is valid for some time."""
        super().sign_url(key, expires_seconds, filename)  # refuses what is no key
        until = str(int(time.time() + expires_seconds))
        query = {"until": until, "filename": filename, "signature": self._sign(key, until, filename)}
        return f"{self._address}/{key}?{urlencode(query, quote_via=quote)}"

    def is_valid(self, url: str) -> bool:
        """Tell whether an address is one that was given out and has not expired; the web server asks this."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        key, until = url.partition("?")[0].removeprefix(f"{self._address}/"), query.get("until", "")
        expected = self._sign(check_key(key), until, query.get("filename", ""))
        return hmac.compare_digest(expected.encode(), query.get("signature", "").encode()) and time.time() < int(until)

    def _sign(self, *parts: str) -> str:
        return hmac.new(self._secret, "\n".join(map(quote, parts)).encode(), hashlib.sha256).hexdigest()


def compose_studio(store: ObjectStore, settings: StudioSettings) -> Studio:
    """Do by hand what `Studio.open` does by addresses, for a queue in this process."""
    limits_of = find_limits(settings.limits)
    database = open_database(settings.database)
    database.upgrade()
    queue = BackgroundQueue(lambda job_id: worker.run(job_id), on_close=lambda: worker.stop())
    ports = Ports(database=database, store=store, queue=queue, events=LocalBus())
    worker = JobWorker(ports, settings, limits_of)
    worker.start()
    return Studio(Composition(ports, worker), settings, limits_of)


def main() -> None:
    """Separate a recording and print its stems' addresses."""
    with tempfile.TemporaryDirectory() as folder:
        store = ServedFolder(Path(folder, "objects"), "https://media.example/stems", b"a secret of the deployment")
        settings = StudioSettings.from_environment(database=f"sqlite:///{folder}/studio.db", model="hpss")
        with compose_studio(store, settings) as studio:
            project = studio.upload(get_song())
            for stem in studio.wait(project.id).stems:
                url = studio.stem_url(project.id, stem.name, expires_seconds=600)
                assert url is not None
                longer = url.replace("until=", "until=9")
                print(f"{stem.name}: valid {store.is_valid(url)}, made longer {store.is_valid(longer)}")
                print(f"  {url}")


if __name__ == "__main__":
    main()
