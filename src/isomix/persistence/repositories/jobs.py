"""Jobs in SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, exists, func, insert, select

from isomix.domain.job import ACTIVE, Job, JobState
from isomix.errors import JobNotFound
from isomix.persistence.records import from_job, to_job
from isomix.persistence.repositories.transaction import Transaction, save_version
from isomix.persistence.tables import jobs, stems
from isomix.ports import JobRepository

_JOBS, _COUNT = select(jobs), select(func.count()).select_from(jobs)
_IS_QUEUED = jobs.c.state == JobState.QUEUED.value
_ONE = _JOBS.where(jobs.c.id == bindparam("job_id"))
_OF_PROJECT = _JOBS.where(jobs.c.project_id == bindparam("of_project")).order_by(jobs.c.created_at, jobs.c.id)
_EXPIRED = (
    _JOBS.where(jobs.c.state == JobState.RUNNING.value, jobs.c.lease_until < bindparam("moment"))
    .order_by(jobs.c.lease_until, jobs.c.id)
    .limit(bindparam("limit"))
)
_QUEUED = (
    _JOBS.where(_IS_QUEUED, jobs.c.enqueued_at < bindparam("moment"))
    .order_by(jobs.c.enqueued_at, jobs.c.id)
    .limit(bindparam("limit"))
)
_COUNT_QUEUED = _COUNT.where(_IS_QUEUED, jobs.c.route == bindparam("on_route"))
_COUNT_ACTIVE = _COUNT.where(jobs.c.owner == bindparam("of_owner"), jobs.c.state.in_(sorted(ACTIVE)))
_EQUAL = (
    _JOBS.where(jobs.c.owner == bindparam("of_owner"), jobs.c.fingerprint == bindparam("alike"))
    .where(jobs.c.state == JobState.SUCCEEDED.value, exists().where(stems.c.job_id == jobs.c.id))
    .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
    .limit(1)
)


class SqlJobs(JobRepository):
    """The jobs of a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, job: Job) -> None:
        """Add a new one."""
        self._transaction.change(insert(jobs), from_job(job))

    def get(self, job_id: str) -> Job:
        """Return one."""
        rows = self._transaction.fetch(_ONE, job_id=job_id)
        if not rows:
            raise JobNotFound(f"there is no job {job_id!r}", job_id=job_id)
        return to_job(rows[0])

    def save(self, job: Job) -> None:
        """Write a changed one."""
        save_version(self._transaction, jobs, from_job(job))

    def list_of_project(self, project_id: str) -> list[Job]:
        """Return a project's jobs, oldest first."""
        return [to_job(row) for row in self._transaction.fetch(_OF_PROJECT, of_project=project_id)]

    def list_expired(self, now: datetime, *, limit: int) -> list[Job]:
        """Return running jobs whose lease has ended, oldest lease first."""
        return [to_job(row) for row in self._transaction.fetch(_EXPIRED, moment=now, limit=limit)]

    def list_queued(self, *, enqueued_before: datetime, limit: int) -> list[Job]:
        """Return queued jobs, oldest message first."""
        return [to_job(row) for row in self._transaction.fetch(_QUEUED, moment=enqueued_before, limit=limit)]

    def count_queued(self, route: str) -> int:
        """Return how many jobs wait on a route."""
        return int(self._transaction.fetch(_COUNT_QUEUED, on_route=route)[0][0])

    def count_active(self, owner: str) -> int:
        """Return how many of an owner's jobs are queued or running."""
        return int(self._transaction.fetch(_COUNT_ACTIVE, of_owner=owner)[0][0])

    def find_equal(self, owner: str, fingerprint: str) -> Job | None:
        """Return the owner's newest succeeded job of that fingerprint whose stems are there, or None."""
        rows = self._transaction.fetch(_EQUAL, of_owner=owner, alike=fingerprint)
        return to_job(rows[0]) if rows else None
