"""What can go wrong between a web server and a file is a typed error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from isomix.domain.weights import ArchiveSource
from isomix.errors import StorageError
from isomix.models import fetch as fetching


class Handler(BaseHTTPRequestHandler):
    """Serves ``/short``, which ends early, ``/slow``, which never answers, and nothing else."""

    def __init__(self, slow: threading.Event, *args: Any) -> None:
        self.slow = slow
        super().__init__(*args)

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.slow.wait(20)
            return
        self.send_response(200 if self.path == "/short" else 404)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 10)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    slow = threading.Event()
    with HTTPServer(("127.0.0.1", 0), partial(Handler, slow)) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        slow.set()
        http.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "reason"), [("/short", "10 of 1000 bytes"), ("/gone", "404"), ("/slow", "timed out|Timeout")]
)
def test_a_failing_server_is_a_reason(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, reason: str
) -> None:
    """A connection that ends early, a missing page and a server that does not answer each say so, and leave no file."""
    monkeypatch.setattr(fetching, "ARCHIVE_TIMEOUT_SECONDS", 0.2)
    target = tmp_path / "originals"
    target.mkdir()
    with pytest.raises(StorageError, match=reason):
        fetching.fetch(ArchiveSource(server + path), ["model.index"], target, lambda _: None)
    assert [path.name for path in tmp_path.rglob("*")] == ["originals"]
