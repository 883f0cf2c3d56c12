"""The background queue beyond its contract."""

from __future__ import annotations

import logging
import threading

import pytest

from isomix.errors import QueueUnavailable
from isomix.queue import BackgroundQueue


def enqueue(queue: BackgroundQueue, job_id: str, route: str = "default", delay_seconds: float = 0.0) -> None:
    """Hand over a job."""
    queue.enqueue(job_id, route=route, timeout_seconds=60.0, delay_seconds=delay_seconds)


def test_one_thread_that_is_not_the_callers() -> None:
    """All jobs run in one daemon thread, which is not there before it is needed."""
    threads: list[threading.Thread] = []
    done = threading.Event()

    def run(job_id: str) -> None:
        threads.append(threading.current_thread())
        if job_id == "last":
            done.set()

    before = threading.active_count()
    queue = BackgroundQueue(run)
    assert threading.active_count() == before
    for job_id in ("first", "second", "last"):
        enqueue(queue, job_id)
    assert done.wait(30.0)
    queue.close()
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon
    assert threading.active_count() == before


def test_counts_what_waits() -> None:
    """Waiting and delayed jobs are counted, each route's own; the running one is not."""
    running, go_on = threading.Event(), threading.Event()

    def run(job_id: str) -> None:
        running.set()
        assert go_on.wait(30.0)

    queue = BackgroundQueue(run)
    enqueue(queue, "running")
    assert running.wait(30.0)
    enqueue(queue, "next")
    enqueue(queue, "late", delay_seconds=3600.0)
    enqueue(queue, "other", route="gpu")
    assert (queue.count_waiting("default"), queue.count_waiting("gpu"), queue.count_waiting("none")) == (2, 1, 0)
    go_on.set()
    queue.close()


def test_close_is_told_first_and_waits() -> None:
    """Closing first asks the running job to return, then waits for it; what waits is not begun."""
    running, stop = threading.Event(), threading.Event()
    ended: list[str] = []

    def run(job_id: str) -> None:
        running.set()
        assert stop.wait(30.0)
        ended.append(job_id)

    queue = BackgroundQueue(run, on_close=stop.set)
    enqueue(queue, "running")
    enqueue(queue, "waiting")
    assert running.wait(30.0)
    queue.close()
    assert ended == ["running"]


def test_a_job_that_closes_or_gives_back() -> None:
    """A job may close its own queue without waiting for itself; what it enqueues then is refused."""
    refused = threading.Event()

    def run(job_id: str) -> None:
        queue.close()
        try:
            enqueue(queue, "again")
        except QueueUnavailable:
            refused.set()

    queue = BackgroundQueue(run)
    enqueue(queue, "job")
    assert refused.wait(30.0)
    queue.close()


def test_a_run_that_raises_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """If a run breaks its promise and raises, that is logged, and the next job is run."""
    done = threading.Event()

    def run(job_id: str) -> None:
        if job_id == "bad":
            raise ValueError("as it was asked for")
        done.set()

    queue = BackgroundQueue(run)
    with caplog.at_level(logging.ERROR):
        enqueue(queue, "bad")
        enqueue(queue, "good")
        assert done.wait(30.0)
    queue.close()
    assert "as it was asked for" in caplog.text


def test_start() -> None:
    """Starting is allowed before the first job, and more than once; not after closing."""
    queue = BackgroundQueue(lambda job_id: None)
    queue.start()
    queue.start()
    queue.close()
    with pytest.raises(QueueUnavailable):
        queue.start()
    with pytest.raises(QueueUnavailable):
        queue.check()
