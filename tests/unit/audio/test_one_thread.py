"""One thread that does what it is given."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from typing import Any

import pytest

from isomix.audio.one_thread import OneThread

SCRIPT = """
import atexit
from isomix.audio.one_thread import OneThread
thread = OneThread("late")
atexit.register(lambda: print(thread.submit(len, "abc").result()))
"""


def test_results_and_errors_come_where_they_are_asked_for() -> None:
    """Calls are made in order in one thread; what one raises is raised by its result, and those behind it are made."""
    with OneThread("calls") as thread:
        futures = [thread.submit(int, text) for text in ("1", "x", "3")]
        assert futures[0].result() == 1
        with pytest.raises(ValueError, match="'x'"):
            futures[1].result()
        assert futures[2].result() == 3


def test_what_waits_can_be_cancelled() -> None:
    """A shutdown that cancels waits for the running call alone."""
    thread, begun, may_end = OneThread("calls"), threading.Event(), threading.Event()
    running = thread.submit(lambda: begun.set() or may_end.wait())
    waiting = thread.submit(int)
    begun.wait()
    thread.shutdown(wait=False, cancel_futures=True)
    may_end.set()
    thread.shutdown()
    assert (running.result(), waiting.cancelled()) == (True, True)


def test_it_works_while_python_shuts_down() -> None:
    """A hook of ``atexit`` still gets its calls done, where a pool of threads refuses them."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"


def _compute(thread: OneThread, outcome: Any) -> None:
    outcome.send(thread.submit(len, "abc").result(timeout=10))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_has_a_thread_of_its_own() -> None:
    """What was made before a fork works after it, in both processes."""
    with OneThread("forked") as thread:
        assert thread.submit(len, "a").result() == 1
        reader, writer = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_compute, args=(thread, writer))
        child.start()
        assert reader.poll(20)
        assert reader.recv() == 3
        child.join()
        assert thread.submit(len, "ab").result() == 2
