"""Jobs change here: read, step to the next version, save; whoever comes second reads again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeAlias

from isomix.domain.job import Job, JobState
from isomix.errors import ConcurrentUpdate, QueueError
from isomix.ports import Database, Ports, UnitOfWork

logger = logging.getLogger(__name__)

Change: TypeAlias = Callable[[Job, datetime], Job]
"""The step from one version of a job to the next, at a moment; what it raises ends the attempt."""

_TRIES = 20
"""More writers than one job ever has at once: its worker, a reaper or two, an owner who cancels."""


def change_job(
    database: Database, job_id: str, change: Change, also: Callable[[UnitOfWork, Job], None] | None = None
) -> Job:
    """Change a job and whatever becomes visible with it, in one commit.

    Parameters
    ----------
    database : Database
        Where it is.
    job_id : str
        Which one.
    change : callable
        The step.
    also : callable, optional
        What else is written, given the unit of work and the changed job.

    Returns
    -------
    Job
        As it was written.

    Raises
    ------
    JobNotFound
        If there is none.
    ConcurrentUpdate
        If others change it all the time.
    """
    for _ in range(_TRIES):
        with suppress(ConcurrentUpdate), database.begin() as work:
            before = work.jobs.get(job_id)
            job = change(before, database.now())
            if job is not before:
                work.jobs.save(job)
            if also is not None:
                also(work, job)
            work.commit()
            return job
    raise ConcurrentUpdate(f"job {job_id} is changed by too many at once", hint="try again", id=job_id)


def send(ports: Ports, job: Job, *, delay_seconds: float = 0.0) -> bool:
    """Hand a queued job over; if the queue cannot be reached, a reaper does it later.

    Returns
    -------
    bool
        Whether it was handed over.
    """
    if job.state is not JobState.QUEUED:
        return True
    try:
        ports.queue.enqueue(job.id, route=job.route, timeout_seconds=job.timeout_seconds, delay_seconds=delay_seconds)
    except QueueError as error:
        logger.warning("job %s waits in the database, since the queue does not take it: %s", job.id, error)
        return False
    return True
