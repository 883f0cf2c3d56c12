"""Nothing stays where it fell: jobs of dead workers and jobs whose message was lost go back to the queue."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from isomix.domain.job import Failure, Job, JobState
from isomix.errors import InvalidTransition, JobNotFound, QueueError
from isomix.ports import Ports
from isomix.services.heartbeat import make_timeout
from isomix.services.jobs import change_job, send
from isomix.settings import StudioSettings

logger = logging.getLogger(__name__)

_BATCH = 100


def recover(ports: Ports, settings: StudioSettings, *, patience_seconds: float | None = None) -> int:
    """Take jobs from silent workers, and send again what waits without a message.

    Parameters
    ----------
    ports : Ports
        Database, queue, events.
    settings : StudioSettings
        Lease and attempts.
    patience_seconds : float, optional
        Age of a message from which it may be missed; the lease if not given.

    Returns
    -------
    int
        Jobs that were moved or sent again.

    Raises
    ------
    PersistenceError
        If the database cannot be reached.
    """
    patience = timedelta(seconds=settings.lease_seconds if patience_seconds is None else patience_seconds)
    return _reap(ports, settings) + _send_again(ports, patience)


def report_loss(
    ports: Ports,
    settings: StudioSettings,
    job_id: str,
    *,
    is_worker: Callable[[str], bool],
    exit_code: int | None,
    timed_out: bool,
) -> None:
    """Take a job from a worker whose end somebody saw, without waiting for the lease.

    Parameters
    ----------
    ports : Ports
        Database, queue, events.
    settings : StudioSettings
        Attempts.
    job_id : str
        What it worked on.
    is_worker : callable
        Tells by a worker's id whether it is the one that ended; another one's job is left alone.
    exit_code : int or None
        How its process ended; 137 after SIGKILL.
    timed_out : bool
        Whether it was killed because it took too long.
    """

    def lose(job: Job, now: datetime) -> Job:
        if job.state is not JobState.RUNNING or not is_worker(job.worker):
            return job
        if timed_out:
            return job.fail(job.fence, now, Failure.from_error(make_timeout(job)))
        return job.lose(now, settings.max_attempts, exit_code)

    with suppress(JobNotFound):
        job = change_job(ports.database, job_id, lose)
        logger.warning("the worker of job %s ended (exit code %s): it is %s now", job_id, exit_code, job.state)
        send(ports, job)
        ports.events.publish(job.project_id)


def _reap(ports: Ports, settings: StudioSettings) -> int:
    def lose(job: Job, now: datetime) -> Job:
        if job.state is not JobState.RUNNING or job.lease_until is None or job.lease_until > now:
            raise InvalidTransition("its worker lives", job_id=job.id, state=job.state, wanted=JobState.QUEUED)
        return job.lose(now, settings.max_attempts)

    with ports.database.read() as work:
        expired = work.jobs.list_expired(ports.database.now(), limit=_BATCH)
    reaped = 0
    for job in expired:
        with suppress(InvalidTransition, JobNotFound):  # another reaper, or its worker, was quicker
            lost = change_job(ports.database, job.id, lose)
            logger.warning("job %s was lost by %s: it is %s now", job.id, job.worker, lost.state)
            send(ports, lost)
            ports.events.publish(lost.project_id)
            reaped += 1
    return reaped


def _send_again(ports: Ports, patience: timedelta) -> int:
    """Send queued jobs again, oldest message first, as many as there are fewer messages than jobs on a route.

    Where as many messages wait, every job has one, however old; so a long queue does not fill with duplicates. Which
    ones were lost nobody knows: if it was others, as many are missing still when these have been taken.
    """
    with ports.database.read() as work:
        stale = work.jobs.list_queued(enqueued_before=ports.database.now() - patience, limit=_BATCH)
        queued = {route: work.jobs.count_queued(route) for route in {job.route for job in stale}}
    sent = 0
    for route, count in queued.items():
        try:
            waiting = ports.queue.count_waiting(route)
        except QueueError as error:
            logger.warning("lost messages cannot be looked for: %s", error)
            return sent
        missing = count if waiting is None else max(0, count - waiting)
        candidates = [job for job in stale if job.route == route]
        sent += sum(_resend(ports, job) for job in candidates[:missing])
    return sent


def _resend(ports: Ports, job: Job) -> bool:
    def mark(present: Job, now: datetime) -> Job:
        return present.mark_enqueued(now) if present.state is JobState.QUEUED else present

    if not send(ports, job):
        return False
    with suppress(JobNotFound):
        change_job(ports.database, job.id, mark)
    return True
