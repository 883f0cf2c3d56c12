"""Every queue keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.service_celery import WorkerProcess, start_worker

from isomix.ports import JobQueue
from isomix.queue import BackgroundQueue, CeleryQueue, InlineQueue
from isomix.testing.queues import JobQueueContract, RecordingRun


def open_queue(make: Callable[[RecordingRun], JobQueue], ran: list[str]) -> Iterator[JobQueue]:
    """Give a queue of this process that records."""
    run = RecordingRun(ran.append)
    run.queue = make(run)
    yield run.queue
    run.queue.close()


class TestInlineQueue(JobQueueContract):
    honours_delay = False

    @pytest.fixture
    def ran(self) -> list[str]:
        return []

    @pytest.fixture
    def queue(self, ran: list[str]) -> Iterator[JobQueue]:
        yield from open_queue(InlineQueue, ran)


class TestBackgroundQueue(JobQueueContract):
    @pytest.fixture
    def ran(self) -> list[str]:
        return []

    @pytest.fixture
    def queue(self, ran: list[str]) -> Iterator[JobQueue]:
        yield from open_queue(BackgroundQueue, ran)


class Recorded:
    """The ids that a worker has recorded, read anew each time."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker

    def __iter__(self) -> Iterator[str]:
        return iter(self._worker.ran)


@pytest.fixture(scope="module")
def worker(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """Give a worker for all tests of this file."""
    with start_worker(redis_url, tmp_path_factory.mktemp("worker")) as worker:
        yield worker


class TestCeleryQueue(JobQueueContract):
    @pytest.fixture
    def ran(self, worker: WorkerProcess) -> Recorded:
        return Recorded(worker)

    @pytest.fixture
    def queue(self, redis_url: str) -> Iterator[JobQueue]:
        queue = CeleryQueue(redis_url)
        yield queue
        queue.close()
