"""The reference application behind a real server, for tests that speak HTTP to it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import httpx
import numpy as np
import pytest
import soundfile
import uvicorn
from examples.http_app.app import create_app
from examples.http_app.auth import Keys
from fastapi import FastAPI
from tests.service_postgres import PostgresServer
from tests.service_s3 import S3Server

from isomix import Studio
from isomix.domain.limits import UNLIMITED, Limits
from isomix.settings import StudioSettings

RATE = 44100
OWNERS = ("ann", "bob", "lee", "tiny")
TINY = Limits(tier="tiny", max_bytes=1 << 20, max_seconds=5.0, formats=frozenset({"wav"}), concurrent_jobs=1)
DEADLINE_SECONDS = 30.0


class TestKeys(Keys):
    """Keys whose owners have no limits, but for one."""

    __test__ = False

    def limits_of(self, owner: str) -> Limits:
        """Return small limits for ``tiny``."""
        return TINY if owner == "tiny" else UNLIMITED


@attrs.frozen
class Served:
    """A running server.

    Parameters
    ----------
    url : str
    studio : Studio
    keys : Keys
    storage : Path
        Where objects are, if they are in a folder.
    """

    url: str
    studio: Studio
    keys: Keys
    storage: Path

    def client(self, owner: str = "ann") -> httpx.Client:
        """Return a client with an owner's key."""
        return httpx.Client(base_url=self.url, headers={"X-API-Key": f"key-of-{owner}"}, timeout=DEADLINE_SECONDS)

    def socket(self, path: str, owner: str = "ann") -> str:
        """Return the address of a WebSocket with an owner's key."""
        return f"{self.url.replace('http', 'ws', 1)}{path}?key=key-of-{owner}"

    def upload(self, data: bytes, owner: str = "ann", name: str = "take.wav", **fields: str) -> str:
        """Upload a recording and return the project's id."""
        with self.client(owner) as client:
            answer = client.post("/upload", data=fields, files={"file": (name, data)})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["project_id"])

    def wait(self, project_id: str, owner: str = "ann") -> dict[str, object]:
        """Return the final status as clients see it."""
        self.studio.wait(project_id, timeout_seconds=DEADLINE_SECONDS)
        with self.client(owner) as client:
            return dict(client.get(f"/status/{project_id}").json())

    def list_objects(self) -> set[Path]:
        """Return every file in the store, staged ones among them."""
        return {path for path in self.storage.rglob("*") if path.is_file()}


def make_noise(seconds: float, seed: int = 0) -> bytes:
    """Return a stereo recording, WAV of 16 bits."""
    noise = np.random.default_rng(seed).uniform(-0.25, 0.25, (int(seconds * RATE), 2))
    file = io.BytesIO()
    soundfile.write(file, noise, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


@contextmanager
def run_server(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port; give its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so, or fail."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def noise() -> Callable[..., bytes]:
    """Return what makes recordings."""
    return make_noise


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Return what waits for something with a deadline."""
    return until


@pytest.fixture
def serve() -> Iterator[Callable[[FastAPI], str]]:
    """Return what serves another application until the test ends."""
    with ExitStack() as servers:
        yield lambda app: servers.enter_context(run_server(app))


def _make_keys() -> TestKeys:
    return TestKeys({f"key-of-{owner}": owner for owner in OWNERS})


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return the application on SQLite and a folder, with its owners."""
    folder, keys = tmp_path_factory.mktemp("studio"), _make_keys()
    database, storage = f"sqlite:///{folder / 'studio.db'}", folder / "objects"
    with (
        Studio.open(database, str(storage), "background", limits_of=keys.limits_of, model="testing:tiny") as studio,
        run_server(create_app(studio, keys=keys)) as url,
    ):
        yield Served(url, studio, keys, storage)


@pytest.fixture(scope="module")
def served_by_services(
    postgres: PostgresServer, s3_server: S3Server, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Return the application on PostgreSQL, S3 and Redis, with a worker in a process of its own."""
    folder, keys = tmp_path_factory.mktemp("worker"), _make_keys()
    with postgres.new_database() as database:
        settings = StudioSettings(
            database=database,
            storage=s3_server.make_bucket(),
            storage_options=s3_server.options,
            queue=redis_url,
            model="testing:tiny",
        )
        with (
            Studio.open(**attrs.asdict(settings, recurse=False), limits_of=keys.limits_of) as studio,
            _run_worker(settings, folder / "log"),
            run_server(create_app(studio, keys=keys)) as url,
        ):
            until(studio.workers)
            yield Served(url, studio, keys, folder)


@contextmanager
def _run_worker(settings: StudioSettings, log: Path) -> Iterator[None]:
    environment = {**os.environ, **settings.to_environment()}
    command = [sys.executable, "-m", "isomix", "worker"]
    with log.open("wb") as file:
        worker = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(60)
