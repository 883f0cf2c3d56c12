"""Workers that race, sleep too long, are told to stop, or never come back."""

from __future__ import annotations

import logging
import signal
import time
from pathlib import Path

import attrs
import pytest
from tests.integration.faults.conftest import local_addresses
from tests.integration.faults.site import Site, WorkerProcess, open_site, wait_until
from tests.integration.faults.test_worker_kills import find_holder
from tests.service_redis import RedisServer

from isomix import Studio
from isomix.composition import compose, find_limits
from isomix.domain.project import Project, ProjectStatus
from isomix.errors import PersistenceError
from isomix.queue import CeleryQueue

logger = logging.getLogger(__name__)

SLACK_SECONDS = 3.0


def start_two(site: Site) -> None:
    """Start two workers and wait for both."""
    for _ in range(2):
        site.start_worker()
    for worker in site.workers:
        wait_until("the worker is there", lambda worker=worker: site.is_ready(worker))


def get_holder(site: Site, project: Project) -> WorkerProcess:
    """Return the worker that has a project's job."""
    holder = find_holder(site, site.get_job(project))
    assert holder is not None
    return holder


def test_a_message_that_comes_ten_times_is_done_once(site: Site) -> None:
    """Two workers that are sent one job again and again make one attempt at it, and leave one attempt's objects."""
    project = site.upload("testing:slow-50ms")
    for _ in range(9):
        site.studio.ports.queue.enqueue(project.job_id, route="default", timeout_seconds=60.0)
    for _ in range(2):
        site.start_worker()
    stems = site.check_ready(project).stems
    wait_until("every message is taken", lambda: site.studio.ports.queue.count_waiting("default") == 0)
    site.check_ready(site.upload("testing:tiny", seed=1))
    status = site.check_ready(project)
    assert (status.job.attempts, status.job.fence, status.stems) == (1, 1, stems)
    assert site.list_attempts(project) == {status.job.attempt}


def freeze(site: Site, worker: WorkerProcess) -> None:
    """Stop a worker in its tracks, but not while it holds SQLite's one lock for writing: nobody could go on then."""
    while True:
        worker.signal(signal.SIGSTOP)
        try:
            with site.studio.ports.database.begin():
                return
        except PersistenceError:
            worker.signal(signal.SIGCONT)


def test_a_worker_that_wakes_too_late_changes_nothing(site: Site) -> None:
    """Another has done its job meanwhile; what it still does stays invisible and is cleaned up, and it goes on."""
    start_two(site)
    project = site.upload("testing:slow-250ms", seconds=6)
    site.wait_running(project, segments=True)
    zombie = get_holder(site, project)
    freeze(site, zombie)
    status = site.check_ready(project)
    assert (status.job.attempts, status.job.fence) == (2, 2)
    assert len(site.list_attempts(project)) == 2
    zombie.signal(signal.SIGCONT)
    wait_until("the late attempt is cleaned up", lambda: site.list_attempts(project) == {status.job.attempt})
    wait_until("no file is left", lambda: site.list_staging() == [])
    next(worker for worker in site.workers if worker is not zombie).kill()
    following = site.check_ready(site.upload("testing:tiny", seed=1))
    assert (zombie.holds(following.job), following.job.attempts) == (True, 1)
    after = site.check_ready(project)
    assert (after.stems, after.job) == (status.stems, status.job)
    site.check_swept()


def test_a_cancelled_job_stops_within_a_segment(local_site: Site) -> None:
    """A segment takes a second here and the job a minute; it is cancelled after some seconds, and leaves nothing."""
    local_site.start_ready_worker()
    project = local_site.upload("testing:slow-1000ms", seconds=60)
    local_site.wait_running(project, segments=True)
    asked = time.monotonic()
    local_site.studio.cancel(project.id)
    status = local_site.wait_final(project, 1.0 + 2.0 + SLACK_SECONDS)
    logger.info("cancelled after %.2f s", time.monotonic() - asked)
    assert status.status is ProjectStatus.CANCELLED
    wait_until("its objects are gone", lambda: local_site.list_attempts(project) == set())
    local_site.check_ready(local_site.upload("testing:tiny", seed=1))


def test_a_worker_that_is_told_to_end_gives_its_job_back(local_site: Site) -> None:
    """SIGTERM: the attempt does not count, another worker takes the job, and the first ends in good order."""
    start_two(local_site)
    project = local_site.upload("testing:slow-250ms", seconds=12)
    local_site.wait_running(project, segments=True)
    ending = get_holder(local_site, project)
    ending.process.send_signal(signal.SIGTERM)
    assert ending.process.wait(20) == 0
    status = local_site.check_ready(project)
    assert (status.job.attempts, status.job.fence) == (1, 2)
    assert local_site.list_attempts(project) == {status.job.attempt}
    assert len(local_site.studio.workers()) == 1


def open_hasty(site: Site) -> Studio:
    """Return a studio of the same site whose jobs are interrupted 2 s after their deadline, and killed after 4 s."""
    settings = attrs.evolve(site.settings, timeout_seconds=4.0)
    made = compose(settings, find_limits("unlimited"))
    made.ports.queue.close()
    ports = attrs.evolve(made.ports, queue=CeleryQueue(settings.queue, grace_seconds=2.0))
    return Studio(attrs.evolve(made, ports=ports), settings, find_limits("unlimited"))


@pytest.mark.parametrize("native", [False, True])
def test_a_job_that_never_comes_back_is_ended(tmp_path: Path, redis_server: RedisServer, native: bool) -> None:
    """Python code that hangs is interrupted, native code is killed with its process: both have taken too long."""
    addresses = {**local_addresses(tmp_path), "queue": redis_server.url}
    # a long lease, so that no worker sends the job again, with its own idea of what is late
    with open_site(tmp_path, addresses, lease_seconds=60.0) as site:
        site.start_ready_worker(native=native)
        site.check_ready(site.upload("testing:tiny", seed=1))
        with open_hasty(site) as studio:
            hasty = attrs.evolve(site, studio=studio)
            status = hasty.wait_final(hasty.upload("testing:stuck"))
        assert status.status is ProjectStatus.FAILED
        assert status.error is not None
        assert (status.error.code, status.job.attempts) == ("job_timed_out", 1)
        site.check_ready(site.upload("testing:tiny", seed=2))
