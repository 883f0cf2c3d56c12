"""What needs no Redis: addresses, missing packages, what an import brings."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from isomix.errors import QueueError, QueueUnavailable
from isomix.events import RedisBus
from isomix.queue import CeleryQueue, serve
from isomix.queue.celery import hide_password

HEAVY = ("celery", "kombu", "redis", "billiard")


def test_import_is_light() -> None:
    """Importing the queues and the events imports neither Celery nor redis-py."""
    code = f"import isomix.queue, isomix.events, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["celery", "redis"])
def test_missing_package(package: str) -> None:
    """Without Celery or redis-py, the error names what to install."""
    code = f"""
import sys
sys.modules[{package!r}] = None
from isomix.errors import QueueUnavailable
from isomix.queue import CeleryQueue
try:
    CeleryQueue("redis://127.0.0.1:1/0")
except QueueUnavailable as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'pip install "isomix[redis]"'


def test_missing_package_for_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-py, the bus's error names what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(QueueUnavailable, match=r"isomix\[redis\]"):
        RedisBus("redis://127.0.0.1:1/0")


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nonsense"])
def test_odd_address(url: str) -> None:
    """What is no Redis address is refused at once, by the queue and by the bus."""
    with pytest.raises(QueueError):
        CeleryQueue(url)
    with pytest.raises(QueueError):
        RedisBus(url)


def test_passwords_are_not_told() -> None:
    """Neither a queue's name nor its errors have the password in them."""
    queue = CeleryQueue("redis://user:secret@127.0.0.1:1/0")
    with pytest.raises(QueueUnavailable) as caught:
        queue.check()
    assert "secret" not in f"{queue.name}{caught.value}"
    assert hide_password("redis://:p@ss@host/1") == "redis://host/1"
    queue.close()


def test_serve_needs_the_main_thread() -> None:
    """A worker that could not handle signals does not begin."""
    errors: list[QueueError] = []

    def run() -> None:
        try:
            serve("redis://127.0.0.1:1/0", lambda: None, routes=("default",), on_lost=lambda *_: None)  # type: ignore[arg-type,return-value]
        except QueueError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_serve_refuses_odd_routes() -> None:
    """What is no route's name is refused before anything is started."""
    with pytest.raises(QueueError, match="route"):
        serve("redis://127.0.0.1:1/0", lambda: None, routes=("a b",), on_lost=lambda *_: None)  # type: ignore[arg-type,return-value]
