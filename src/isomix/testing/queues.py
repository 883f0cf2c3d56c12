"""What every `JobQueue` and every `EventBus` must keep, for subclasses that give fixtures.

Examples
--------
>>> class TestMyQueue(JobQueueContract):
...     @pytest.fixture
...     def ran(self): return []
...     @pytest.fixture
...     def queue(self, ran):
...         run = RecordingRun(ran.append)
...         run.queue = MyQueue(run)
...         yield run.queue
...         run.queue.close()
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import ClassVar

import pytest

from isomix.errors import QueueError, QueueUnavailable
from isomix.ports import EventBus, JobQueue

_PATIENCE_SECONDS = 60.0
AGAIN = "again-"


class RecordingRun:
    """A `RunJob` for these suites: it records an id when its job has ended.

    A job whose id starts with ``again-`` enqueues the rest of its id before it ends, as a retry does.

    Parameters
    ----------
    record : callable
        Remembers an id.

    Examples
    --------
    >>> from isomix.queue import InlineQueue
    >>> run = RecordingRun(print)
    >>> run.queue = InlineQueue(run)
    >>> run.queue.enqueue("again-x", route="default", timeout_seconds=60.0)
    again-x
    x
    """

    def __init__(self, record: Callable[[str], object]) -> None:
        self._record = record
        self.queue: JobQueue | None = None

    def __call__(self, job_id: str) -> None:
        """Run a job."""
        if job_id.startswith(AGAIN) and self.queue is not None:
            self.queue.enqueue(job_id.removeprefix(AGAIN), route="default", timeout_seconds=60.0)
        self._record(job_id)


class JobQueueContract:
    """A queue runs what it is given. Subclasses give the fixtures ``queue`` and ``ran``.

    ``queue`` runs jobs of the route ``default`` with a `RecordingRun`, in this process or in another. ``ran`` is
    iterable as often as one likes, and gives the ids that were recorded so far.
    """

    honours_delay: ClassVar[bool] = True

    def test_runs_every_message(self, queue: JobQueue, ran: Iterable[str]) -> None:
        """Every message is run, and in the order in which they came."""
        ids = [_make_id() for _ in range(5)]
        for job_id in ids:
            _enqueue(queue, job_id)
        _wait_for(lambda: set(ids) <= set(ran))
        assert [job_id for job_id in ran if job_id in ids] == ids

    def test_retry_runs_after(self, queue: JobQueue, ran: Iterable[str]) -> None:
        """What a job enqueues is run when the job has ended, not inside it."""
        second = _make_id()
        first = f"{AGAIN}{AGAIN}{second}"
        _enqueue(queue, first)
        _wait_for(lambda: second in ran)
        assert [job_id for job_id in ran if job_id.endswith(second)] == [first, f"{AGAIN}{second}", second]

    def test_delay(self, queue: JobQueue, ran: Iterable[str]) -> None:
        """A delayed message is run, not before its time, and those behind it need not wait for it."""
        late, soon, started = _make_id(), _make_id(), time.monotonic()
        _enqueue(queue, late, delay_seconds=1.5)
        _enqueue(queue, soon)
        _wait_for(lambda: late in ran)
        if self.honours_delay:
            assert time.monotonic() - started > 1.4
            assert [job_id for job_id in ran if job_id in (late, soon)] == [soon, late]

    @pytest.mark.parametrize(
        "message", ["", "two words", "a/b", "../a", "x" * 65, "ü", "a\n", b"a", 7, None, {"id": 1}]
    )
    def test_takes_ids_only(self, queue: JobQueue, message: str) -> None:
        """What is not an id is refused, as a job's or as a route's."""
        with pytest.raises(QueueError):
            _enqueue(queue, message)
        with pytest.raises(QueueError):
            queue.enqueue(_make_id(), route=message, timeout_seconds=60.0)

    def test_nothing_waits_in_the_end(self, queue: JobQueue, ran: Iterable[str]) -> None:
        """When everything has been run, nothing waits on any route, where that can be told."""
        job_id = _make_id()
        _enqueue(queue, job_id)
        _wait_for(lambda: job_id in ran)
        assert queue.count_waiting("default") in (0, None)
        assert queue.count_waiting("elsewhere") in (0, None)

    def test_check(self, queue: JobQueue) -> None:
        """A queue that works passes its own check, and has a name."""
        queue.check()
        assert queue.name

    def test_closed(self, queue: JobQueue, ran: Iterable[str]) -> None:
        """Closing twice is harmless, and a closed queue takes and runs nothing."""
        job_id = _make_id()
        queue.close()
        queue.close()
        with pytest.raises(QueueUnavailable):
            _enqueue(queue, job_id)
        time.sleep(0.2)
        assert job_id not in ran

    def test_many_threads(self, queue: JobQueue, ran: Iterable[str]) -> None:
        """Several threads may enqueue at once, and none of their messages is lost."""
        ids = [_make_id() for _ in range(16)]
        threads = [threading.Thread(target=_enqueue, args=(queue, job_id)) for job_id in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _wait_for(lambda: set(ids) <= set(ran))


class EventBusContract:
    """A bus tells subscribers. Subclasses give the fixture ``bus``."""

    def test_subscriber_is_called(self, bus: EventBus) -> None:
        """Who subscribed is called when the project changes."""
        called, project_id = threading.Event(), _make_id()
        bus.subscribe(project_id, called.set)
        _publish_until(bus, project_id, called.is_set)

    def test_other_projects_are_not_heard(self, bus: EventBus) -> None:
        """Who subscribed to one project does not hear of another."""
        mine, theirs, project_id, other_id = threading.Event(), threading.Event(), _make_id(), _make_id()
        bus.subscribe(project_id, mine.set)
        bus.subscribe(other_id, theirs.set)
        _publish_until(bus, other_id, theirs.is_set)
        assert not mine.is_set()

    def test_unsubscribe(self, bus: EventBus) -> None:
        """Who has unsubscribed, even twice, is not called any more; others still are."""
        gone, stays, project_id = threading.Event(), threading.Event(), _make_id()
        unsubscribe = bus.subscribe(project_id, gone.set)
        bus.subscribe(project_id, stays.set)
        unsubscribe()
        unsubscribe()
        _publish_until(bus, project_id, stays.is_set)
        assert not gone.is_set()

    def test_nobody_listens(self, bus: EventBus) -> None:
        """Publishing to nobody is harmless."""
        bus.publish(_make_id())

    def test_many_subscribers(self, bus: EventBus) -> None:
        """All of many subscribers are called."""
        project_id, called = _make_id(), [threading.Event() for _ in range(200)]
        for event in called:
            bus.subscribe(project_id, event.set)
        _publish_until(bus, project_id, lambda: all(event.is_set() for event in called))

    def test_raising_subscriber(self, bus: EventBus) -> None:
        """A subscriber that raises harms neither the publisher nor the other subscribers."""
        project_id, called = _make_id(), threading.Event()

        def fail() -> None:
            raise ValueError("as it was asked for")

        bus.subscribe(project_id, fail)
        bus.subscribe(project_id, called.set)
        _publish_until(bus, project_id, called.is_set)

    def test_close(self, bus: EventBus) -> None:
        """Closing twice is harmless; afterwards publishing is too, and calls nobody."""
        project_id, called = _make_id(), threading.Event()
        bus.subscribe(project_id, called.set)
        bus.close()
        bus.close()
        bus.publish(project_id)
        assert not called.is_set()


def _make_id() -> str:
    return secrets.token_hex(8)


def _enqueue(queue: JobQueue, job_id: str, delay_seconds: float = 0.0) -> None:
    queue.enqueue(job_id, route="default", timeout_seconds=60.0, delay_seconds=delay_seconds)


def _wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _publish_until(bus: EventBus, project_id: str, is_true: Callable[[], bool]) -> None:
    """Publish until it is heard: a call may be lost."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, "nobody was called"
        bus.publish(project_id)
        time.sleep(0.02)
