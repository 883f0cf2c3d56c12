"""A real browser, and the application in a process of its own, for the tests of the page."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile

REPOSITORY = Path(__file__).resolve().parents[3]
RATE = 44100
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing but this machine
)
EXPECTED_NOISE = ("Failed to load resource", "WebSocket connection to")
"""What Chromium itself says of refusals and lost sockets, which tests provoke."""


class Server:
    """The application on a free port, with a folder of its own; it can be killed and started again."""

    def __init__(self, folder: Path, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = folder / "server.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ISOMIX_")}
        weights = {name: os.environ[name] for name in ("ISOMIX_WEIGHTS_DIR",) if name in os.environ}
        own = {"ISOMIX_DATA_DIR": str(folder), "PORT": str(self.port), "PYTHONPATH": str(REPOSITORY)}
        self.environment = {**kept, **weights, **own, **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "examples.http_app"]
            self.process = subprocess.Popen(command, cwd=REPOSITORY, env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(URLError, ConnectionError), urlopen(self.url + "health", timeout=5):
                return self
            time.sleep(0.1)
        raise RuntimeError(f"the application does not answer:\n{self.log.read_text()}")

    def kill(self) -> None:
        """End it as the kernel does when memory has run out: with no chance to tidy up."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as an operator does."""
        assert self.process
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


@pytest.fixture(scope="module")
def server_environment() -> dict[str, str]:
    """Return variables for every server; a module that runs these tests on other services overrides it."""
    return {}


@pytest.fixture(scope="module")
def start_server(
    tmp_path_factory: pytest.TempPathFactory, server_environment: dict[str, str]
) -> Iterator[Callable[..., Server]]:
    """Return a function that starts the application with some variables."""
    servers: list[Server] = []

    def start(**environment: str) -> Server:
        servers.append(Server(tmp_path_factory.mktemp("app"), **server_environment, **environment))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server]) -> Server:
    """Return the application with a tiny engine that takes its time."""
    return start_server(ISOMIX_MODEL="testing:slow-200ms")


@pytest.fixture(scope="module")  # no longer: Playwright's event loop runs in this thread, and asyncio allows but one
def chromium() -> Iterator[Any]:
    """Return Debian's Chromium, or the one that ISOMIX_TEST_CHROMIUM names."""
    path = os.environ.get("ISOMIX_TEST_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(path).exists():
        if os.environ.get("CI") == "true":
            raise RuntimeError(f"there is no browser at {path}")
        pytest.skip(f"there is no browser at {path}; ISOMIX_TEST_CHROMIUM names another")
    playwright_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens the page; in the end, none of its scripts may have failed."""
    contexts: list[Any] = []
    faults: list[str] = []

    def open_one(server: Server, path: str = "", *, locale: str = "en-US", **options: Any) -> Any:
        context = chromium.new_context(locale=locale, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: faults.append(f"{error}"))
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        page.goto(server.url + path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not [fault for fault in faults if not fault.startswith(EXPECTED_NOISE)]


@pytest.fixture(scope="module")
def make_recording(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that writes a recording of noise under a falling tone."""
    folder = tmp_path_factory.mktemp("recordings")

    def make(seconds: float, name: str = "Canção.wav", channels: int = 2) -> Path:
        count = int(seconds * RATE)
        random = np.random.default_rng(7)
        tone = np.sin(2 * np.pi * 220 * np.arange(count) / RATE) * np.linspace(0.3, 0.05, count)
        audio = 0.05 * random.standard_normal((count, channels)) + tone[:, None]
        soundfile.write(folder / name, audio.astype(np.float32), RATE)
        return folder / name

    return make
