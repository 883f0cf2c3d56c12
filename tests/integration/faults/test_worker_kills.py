"""Workers are killed at random points: what was accepted is done, once."""

from __future__ import annotations

import logging
import os
import random
import signal
import time
from contextlib import suppress

import psutil
import pytest
from tests.integration.faults.conftest import OpenSite
from tests.integration.faults.site import PATIENCE_SECONDS, Site, WorkerProcess, wait_until

from isomix.domain.job import Job, JobState
from isomix.domain.project import Project, ProjectStatus

logger = logging.getLogger(__name__)

SEED = int(os.environ.get("ISOMIX_TEST_SEED", "4"))
ROUNDS = int(os.environ.get("ISOMIX_TEST_ROUNDS", "5"))
"""Of each of the four random tests."""
IN_FLIGHT = 3
MODEL = "testing:slow-250ms"
SLACK_SECONDS = 5.0
"""Beside two leases: the machine is busy."""


class Killing:
    """Rounds of uploading, waiting and killing."""

    def __init__(self, site: Site, seed: str) -> None:
        logger.info("seed %s", seed)
        self.site, self.random = site, random.Random(seed)
        self.projects: list[Project] = []
        self.recoveries: list[float] = []

    def find_running(self) -> list[Job]:
        """Return the jobs that run, after uploading as many as are missing."""
        jobs = [self.site.get_job(project) for project in self.projects]
        for _ in range(IN_FLIGHT - sum(job.is_active for job in jobs)):
            self.projects.append(self.site.upload(MODEL, seconds=4, seed=len(self.projects)))
        return [job for job in jobs if job.state is JobState.RUNNING]

    def choose(self) -> Job:
        """Return a job that runs at a random moment of its life."""
        wait_until("a job runs", self.find_running)
        time.sleep(self.random.uniform(0.0, 1.5))
        return self.random.choice(wait_until("a job runs", self.find_running))

    def note_recovery(self, lost: Job) -> None:
        """Measure how long a job stays with a dead worker."""
        killed, limit = time.monotonic(), 2 * self.site.settings.lease_seconds + SLACK_SECONDS
        wait_until("a lost job is taken from its worker", lambda: not is_held(self.find(lost), lost), limit)
        self.recoveries.append(time.monotonic() - killed)

    def find(self, job: Job) -> Job:
        """Return a job as it is now."""
        with self.site.studio.ports.database.read() as work:
            return work.jobs.get(job.id)

    def check(self) -> None:
        """Assert that everything was done, and that nothing else is left."""
        logger.info("seconds to recovery: %s", [round(seconds, 2) for seconds in self.recoveries])
        statuses = [self.site.check_ready(project, 2 * PATIENCE_SECONDS) for project in self.projects]
        logger.info("attempts: %s", [status.job.attempts for status in statuses])
        self.site.check_swept()


def is_held(job: Job, lost: Job) -> bool:
    """Tell whether a job still counts as running with the worker that had it."""
    return job.state is JobState.RUNNING and job.fence == lost.fence


def find_holder(site: Site, job: Job) -> WorkerProcess | None:
    """Return the worker that has a job, unless it has just ended."""
    return next((worker for worker in site.workers if worker.holds(job)), None)


def test_uploads_survive_the_death_of_workers(open_studio_site: OpenSite, request: pytest.FixtureRequest) -> None:
    """Whole workers are killed at random moments; every upload ends ready, with the right stems, visible once."""
    site = open_studio_site(max_attempts=1000, lease_seconds=1.0)
    killing = Killing(site, f"{SEED} {request.node.name}")
    for _ in range(2):
        site.start_worker()
    for _ in range(ROUNDS):
        job = killing.choose()
        if (worker := find_holder(site, job)) is not None:
            worker.kill()
            site.start_worker()
            killing.note_recovery(job)
    killing.check()


def test_uploads_survive_the_death_of_children(open_studio_site: OpenSite, request: pytest.FixtureRequest) -> None:
    """Only the process that runs the job is killed: its parent sees that, and nobody waits for a lease."""
    site = open_studio_site(max_attempts=1000, lease_seconds=1.0)
    killing = Killing(site, f"{SEED} {request.node.name}")
    site.start_worker(processes=2)
    for _ in range(ROUNDS):
        job = killing.choose()
        with suppress(ProcessLookupError):
            os.kill(int(job.worker.split("/")[1]), signal.SIGKILL)
        killing.note_recovery(job)
    killing.check()


def test_a_child_that_dies_idle_is_replaced(local_site: Site) -> None:
    """A worker whose child was killed between two jobs takes the next one, again and again."""
    worker = local_site.start_ready_worker()
    for seed in range(3):
        for child in worker.children:
            os.kill(child, signal.SIGKILL)
        project = local_site.upload("testing:tiny", seconds=2, seed=seed)
        local_site.check_ready(project)


def test_a_job_that_kills_its_child_fails_as_out_of_memory(local_site: Site) -> None:
    """After three children that were killed (137) it fails with that reason; the worker goes on."""
    local_site.start_ready_worker()
    project = local_site.upload("testing:killer")
    status = local_site.wait_final(project)
    assert (status.status, status.job.attempts) == (ProjectStatus.FAILED, 3)
    assert status.error is not None
    assert (status.error.code, "137" in status.error.message) == ("out_of_memory", True)
    local_site.check_ready(local_site.upload("testing:tiny", seed=1))


def test_a_job_whose_workers_die_fails_as_worker_lost(local_site: Site) -> None:
    """After three whole workers it fails; each time an idle worker takes it within two leases."""
    for _ in range(3):
        local_site.start_worker()
    for worker in local_site.workers:
        wait_until("the worker is there", lambda worker=worker: local_site.is_ready(worker))
    project = local_site.upload("testing:slow-1000ms", seconds=60)
    limit = 2 * local_site.settings.lease_seconds + SLACK_SECONDS
    for attempt in (1, 2, 3):
        started = time.monotonic()
        job = wait_until("the job runs again", lambda n=attempt: find_attempt(local_site, project, n), limit)
        logger.info("attempt %d began after %.2f s", attempt, time.monotonic() - started)
        worker = find_holder(local_site, job)
        assert worker is not None
        worker.kill()
    time.sleep(local_site.settings.lease_seconds + 0.1)
    local_site.studio.sweep()  # no worker is left: an operator finds it
    status = local_site.studio.status(project.id)
    assert (status.status, status.job.attempts) == (ProjectStatus.FAILED, 3)
    assert status.error is not None
    assert status.error.code == "worker_lost"
    local_site.check_swept()


def find_attempt(site: Site, project: Project, number: int) -> Job | None:
    """Return a project's job while a certain attempt at it runs."""
    job = site.get_job(project)
    return job if job.state is JobState.RUNNING and job.attempts == number else None


def test_a_child_whose_parent_dies_ends_its_job_and_then_itself(local_site: Site) -> None:
    """Only the parent is killed: nobody sends its child anything any more, and it does not stay for ever."""
    worker = local_site.start_ready_worker()
    (child,) = worker.children
    project = local_site.upload("testing:slow-250ms", seconds=6)
    local_site.wait_running(project)
    worker.process.kill()
    worker.process.wait()
    local_site.start_worker()
    local_site.check_ready(project)
    wait_until("the child has ended", lambda: not psutil.pid_exists(child), 20)
    local_site.check_ready(local_site.upload("testing:tiny", seed=1))
