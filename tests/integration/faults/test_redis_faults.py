"""Redis dies and comes back empty, or stops answering: nothing that was accepted is lost."""

from __future__ import annotations

import logging
import time

from tests.integration.faults.site import Site, wait_until
from tests.service_redis import RedisServer

from isomix.domain.job import JobState
from isomix.domain.project import Project

logger = logging.getLogger(__name__)

PROMPT_SECONDS = 5.0


def upload_promptly(site: Site, seed: int) -> Project:
    """Upload, and assert that this took seconds only."""
    started = time.monotonic()
    project = site.upload("testing:tiny", seed=seed)
    took = time.monotonic() - started
    logger.info("accepted after %.2f s", took)
    assert took < PROMPT_SECONDS
    return project


def test_jobs_survive_the_death_of_redis(local_site: Site, redis_server: RedisServer) -> None:
    """The running job goes on; those that waited, and those that came meanwhile, are sent again and done."""
    local_site.start_ready_worker()
    running = local_site.upload("testing:slow-250ms", seconds=12)
    local_site.wait_running(running)
    waiting = [local_site.upload("testing:tiny", seed=seed) for seed in (1, 2)]
    redis_server.kill()
    waiting.append(upload_promptly(local_site, 3))
    assert local_site.check_ready(running).job.attempts == 1
    assert [local_site.get_job(project).state for project in waiting] == [JobState.QUEUED] * 3
    redis_server.restart_empty()
    assert [local_site.check_ready(project).job.attempts for project in waiting] == [1, 1, 1]
    assert local_site.check_ready(local_site.upload("testing:tiny", seed=4)).job.attempts == 1


def test_redis_may_be_emptied_under_a_running_job(local_site: Site, redis_server: RedisServer) -> None:
    """Redis restarts empty while the job runs: the worker takes the next jobs all the same."""
    local_site.start_ready_worker()
    running = local_site.upload("testing:slow-250ms", seconds=8)
    local_site.wait_running(running)
    redis_server.restart_empty()
    others = [local_site.upload("testing:tiny", seed=seed) for seed in (1, 2, 3)]
    assert [local_site.check_ready(project).job.attempts for project in (running, *others)] == [1] * 4


def test_an_upload_does_not_wait_for_a_redis_that_hangs(local_site: Site, redis_server: RedisServer) -> None:
    """It is accepted, can be seen and cancelled; the others are done when Redis answers again."""
    local_site.start_ready_worker()
    redis_server.freeze()
    projects = [upload_promptly(local_site, seed) for seed in (1, 2)]
    local_site.studio.cancel(projects[1].id)
    redis_server.thaw()
    assert local_site.check_ready(projects[0]).job.attempts == 1
    assert local_site.get_job(projects[1]).state is JobState.CANCELLED
    wait_until("no message is left", lambda: local_site.studio.ports.queue.count_waiting("default") == 0)
