"""What falls down is picked up: dead workers' jobs, lost messages, left-over objects."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.services.conftest import list_keys, make_recording

from isomix import Limits, Studio
from isomix.domain.job import Job, JobState
from isomix.domain.project import ProjectStatus
from isomix.errors import QueueUnavailable
from isomix.ports import JobQueue
from isomix.services.jobs import change_job
from isomix.services.recovering import recover, report_loss
from isomix.services.worker import is_worker_of, make_worker_id


class HeldQueue(JobQueue):
    """A queue that only remembers, and may be away."""

    name = "held"

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.is_away = False

    def enqueue(self, job_id: str, *, route: str, timeout_seconds: float, delay_seconds: float = 0.0) -> None:
        self.check()
        self.sent.append(job_id)

    def count_waiting(self, route: str) -> int:
        self.check()
        return len(self.sent)

    def check(self) -> None:
        if self.is_away:
            raise QueueUnavailable("nobody answers", queue=self.name)


@pytest.fixture
def queue() -> HeldQueue:
    return HeldQueue()


@pytest.fixture
def held(open_studio: Callable[..., Studio], queue: HeldQueue) -> Studio:
    """A studio whose messages go nowhere until the test says so."""
    studio = open_studio(lease_seconds=0.2)
    object.__setattr__(studio.ports, "queue", queue)
    return studio


def get_job(studio: Studio, job_id: str) -> Job:
    with studio.ports.database.read() as work:
        return work.jobs.get(job_id)


def claim(studio: Studio, job_id: str, worker: str = "w", seconds: float = -1.0) -> Job:
    """Claim a job with a lease that is over already."""
    return change_job(
        studio.ports.database, job_id, lambda job, now: job.claim(worker, now, timedelta(seconds=seconds))
    )


def run(studio: Studio, job_id: str) -> None:
    """Run a job as the studio's own worker does."""
    assert studio._composition.worker is not None
    studio._composition.worker.run(job_id)


def test_the_job_of_a_dead_worker_goes_back_and_is_done(held: Studio, queue: HeldQueue, recording: bytes) -> None:
    """Its lease is over: it is queued and sent again, and the next worker ends it."""
    project = held.upload(recording)
    claim(held, project.job_id)
    assert recover(held.ports, held.settings) == 1
    assert queue.sent == [project.job_id] * 2
    run(held, project.job_id)
    status = held.status(project.id)
    assert (status.status, status.job.attempts) == (ProjectStatus.READY, 2)


def test_a_live_worker_keeps_its_job(held: Studio, recording: bytes) -> None:
    """A lease that lasts is respected."""
    project = held.upload(recording)
    claim(held, project.job_id, seconds=60)
    assert recover(held.ports, held.settings, patience_seconds=0) == 0
    assert get_job(held, project.job_id).worker == "w"


def test_a_job_that_kills_workers_fails(held: Studio, recording: bytes) -> None:
    """Three lost workers, then an error with its reason; nothing goes round for ever."""
    project = held.upload(recording)
    for _ in range(3):
        claim(held, project.job_id)
        recover(held.ports, held.settings)
    error = held.status(project.id).error
    assert error is not None
    assert error.code == "worker_lost"
    assert recover(held.ports, held.settings) == 0


def test_an_upload_is_accepted_while_the_queue_is_away_and_sent_later(
    held: Studio, queue: HeldQueue, recording: bytes
) -> None:
    """Rows come before messages: a reaper sends what could not be sent."""
    queue.is_away = True
    project = held.upload(recording)
    assert held.status(project.id).status is ProjectStatus.PROCESSING
    assert recover(held.ports, held.settings, patience_seconds=0) == 0
    queue.is_away = False
    assert recover(held.ports, held.settings, patience_seconds=0) == 1
    assert queue.sent == [project.job_id]


def test_a_lost_message_is_sent_again_but_a_long_queue_is_not_doubled(
    held: Studio, queue: HeldQueue, recording: bytes
) -> None:
    """As long as as many messages wait as jobs do, none is missing, however old they are."""
    jobs = [held.upload(recording, owner=owner).job_id for owner in ("ann", "ben", "cy")]
    assert recover(held.ports, held.settings, patience_seconds=0) == 0
    queue.sent.clear()  # Redis was restarted empty
    assert recover(held.ports, held.settings, patience_seconds=0) == 3
    assert sorted(queue.sent) == sorted(jobs)


def test_a_fresh_message_is_given_time(held: Studio, queue: HeldQueue, recording: bytes) -> None:
    """A worker may be about to claim it: only after a lease is it missed."""
    held.upload(recording)
    queue.sent.clear()
    assert recover(held.ports, held.settings, patience_seconds=60) == 0
    time.sleep(held.settings.lease_seconds)
    assert recover(held.ports, held.settings) == 1


def test_a_worker_that_is_seen_dying_loses_its_job_at_once(held: Studio, queue: HeldQueue, recording: bytes) -> None:
    """A kill by the kernel is called that, and another process's job is left alone."""
    project = held.upload(recording)
    claim(held, project.job_id, make_worker_id(4711), seconds=60)

    def report(pid: int, **facts: Any) -> None:
        report_loss(
            held.ports, held.settings, project.job_id, is_worker=lambda worker: is_worker_of(worker, pid), **facts
        )

    report(4712, exit_code=137, timed_out=False)
    assert get_job(held, project.job_id).state is JobState.RUNNING
    report(4711, exit_code=137, timed_out=False)
    job = get_job(held, project.job_id)
    assert job.failure is not None
    assert (job.state, job.failure.code) == (JobState.QUEUED, "out_of_memory")
    assert queue.sent[-1] == project.job_id
    claim(held, project.job_id, make_worker_id(4713), seconds=60)
    report(4713, exit_code=None, timed_out=True)
    error = held.status(project.id).error
    assert error is not None
    assert error.code == "job_timed_out"


def test_workers_are_known_by_their_process() -> None:
    """An id tells its process, and no two are alike."""
    mine = make_worker_id(os.getpid())
    assert is_worker_of(mine, os.getpid())
    assert not is_worker_of(mine, os.getpid() + 1)
    assert mine != make_worker_id(os.getpid())


def test_nobody_online_is_told(held: Studio, open_studio: Callable[..., Studio], recording: bytes) -> None:
    """A waiting job knows whether a worker was lately heard of, and its place in the queue."""
    first, second = held.upload(recording, owner="ann"), held.upload(recording, owner="ben")
    assert (held.status(first.id).queue_position, held.status(second.id).queue_position) == (0, 1)
    assert not held.status(second.id).worker_online
    working = open_studio(queue="background", model="testing:slow-500ms")
    project = working.upload(make_recording(20))
    deadline = time.monotonic() + 30
    while not working.status(project.id).worker_online and time.monotonic() < deadline:
        time.sleep(0.05)
    assert working.status(project.id).worker_online
    assert len(working.workers()) == 1


def test_a_sweep_deletes_what_is_past_its_time(open_studio: Callable[..., Studio], recording: bytes) -> None:
    """Projects older than their owner's tier keeps them are gone with their objects; others stay."""
    limits = {"ann": Limits(retention_days=1e-9), "ben": Limits(retention_days=1)}
    studio = open_studio(limits_of=limits.__getitem__)
    studio.upload(recording, owner="ann")
    kept = studio.upload(recording, owner="ben")
    report = studio.sweep()
    assert report.projects_expired == 1
    assert studio.projects("ann") == []
    assert {key.split("/")[1] for key in list_keys(studio)} == {kept.id}
    assert studio.status(kept.id).status is ProjectStatus.READY


def test_a_sweep_deletes_orphans_and_nothing_else(open_studio: Callable[..., Studio], recording: bytes) -> None:
    """Objects of no project, and of attempts that came to nothing, go once they are old; all that counts stays."""
    studio = open_studio(orphan_age_seconds=0.3)
    project = studio.upload(recording)
    before = list_keys(studio)
    store = studio.ports.store
    store.put_bytes("projects/feed/mixture.wav", b"left by a crash before the commit")
    store.put_bytes(f"projects/{project.id}/{project.job_id}-9/stems/0.flac", b"left by a late worker")
    assert studio.sweep().orphans_deleted == 0  # they may be on their way into a row
    time.sleep(0.4)
    assert studio.sweep().orphans_deleted == 2
    assert list_keys(studio) == before
    assert len(studio.stems(project.id)) == 4


def test_a_sweep_leaves_a_running_jobs_objects_alone(held: Studio, recording: bytes) -> None:
    """However old they are."""
    object.__setattr__(held.settings, "orphan_age_seconds", 0.01)
    project = held.upload(recording)
    claim(held, project.job_id, seconds=60)
    key = f"projects/{project.id}/{project.job_id}-1/preview/0/00000.flac"
    held.ports.store.put_bytes(key, b"a segment")
    time.sleep(0.05)
    held.sweep()
    assert key in list_keys(held)
