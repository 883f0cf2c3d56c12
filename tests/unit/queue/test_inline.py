"""The inline queue beyond its contract."""

from __future__ import annotations

import threading

import pytest

from isomix.queue import InlineQueue


def enqueue(queue: InlineQueue, job_id: str) -> None:
    """Run a job."""
    queue.enqueue(job_id, route="default", timeout_seconds=60.0, delay_seconds=3600.0)


def test_ends_before_it_returns() -> None:
    """What is enqueued has been run when `enqueue` returns, whatever its delay."""
    ran: list[str] = []
    enqueue(InlineQueue(ran.append), "job")
    assert ran == ["job"]


def test_ten_thousand_retries_do_not_recurse() -> None:
    """However often a job enqueues another, the stack does not grow."""
    ran: list[str] = []

    def run(job_id: str) -> None:
        ran.append(job_id)
        if len(ran) < 10_000:
            enqueue(queue, "again")

    queue = InlineQueue(run)
    enqueue(queue, "first")
    assert len(ran) == 10_000


def test_threads_run_their_own() -> None:
    """A thread runs what it enqueues itself, even while another's job runs."""
    first_runs, second_ran = threading.Event(), threading.Event()
    threads: dict[str, int] = {}

    def run(job_id: str) -> None:
        threads[job_id] = threading.get_ident()
        if job_id == "first":
            first_runs.set()
            assert second_ran.wait(30.0)
        else:
            second_ran.set()

    queue = InlineQueue(run)
    thread = threading.Thread(target=enqueue, args=(queue, "first"))
    thread.start()
    assert first_runs.wait(30.0)
    enqueue(queue, "second")
    thread.join()
    assert threads == {"first": thread.ident, "second": threading.get_ident()}


def test_a_run_that_raises_leaves_nothing_behind() -> None:
    """If a run breaks its promise and raises, the caller hears it, and the queue works on."""
    ran: list[str] = []

    def run(job_id: str) -> None:
        if job_id == "bad":
            enqueue(queue, "forgotten")
            raise ValueError("as it was asked for")
        ran.append(job_id)

    queue = InlineQueue(run)
    with pytest.raises(ValueError, match="asked for"):
        enqueue(queue, "bad")
    enqueue(queue, "good")
    assert ran == ["good"]
