"""Projects and statuses in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, case, delete, exists, func, insert, select, tuple_

from isomix.domain.job import JobState
from isomix.domain.project import Project
from isomix.domain.status import Status
from isomix.errors import ProjectNotFound
from isomix.persistence.records import JOB_COLUMNS, PROJECT_COLUMNS, from_project, to_job, to_project
from isomix.persistence.repositories.stems import list_stems
from isomix.persistence.repositories.transaction import Transaction, save_version
from isomix.persistence.tables import jobs, projects, workers
from isomix.ports import ProjectRepository

_IDS_PER_QUERY = 500
_WITH_STATE = select(projects, jobs.c.state).outerjoin_from(projects, jobs, jobs.c.id == projects.c.job_id)
_ONE = _WITH_STATE.where(projects.c.id == bindparam("project_id"))
_NEWEST = (
    _WITH_STATE.where(projects.c.owner == bindparam("owner"))
    .order_by(projects.c.created_at.desc(), projects.c.id.desc())
    .limit(bindparam("limit"))
)
_NEWEST_BEFORE = _NEWEST.where(projects.c.created_at < bindparam("before"))
_OLDEST = (
    _WITH_STATE.where(projects.c.created_at < bindparam("before"))
    .order_by(projects.c.created_at, projects.c.id)
    .limit(bindparam("limit"))
)
_OLDEST_AFTER = _OLDEST.where(projects.c.created_at > bindparam("after"))
_EXISTING = select(projects.c.id).where(projects.c.id.in_(bindparam("ids", expanding=True)))
_DELETE = delete(projects).where(projects.c.id == bindparam("project_id"))


def _select_status() -> Select[Any]:
    ahead = jobs.alias("ahead")
    position = (
        select(func.count())
        .where(ahead.c.state == JobState.QUEUED.value, ahead.c.route == jobs.c.route)
        .where(tuple_(ahead.c.created_at, ahead.c.id) < tuple_(jobs.c.created_at, jobs.c.id))
        .scalar_subquery()
    )
    online = exists().where(workers.c.route == jobs.c.route, workers.c.seen_at > bindparam("workers_seen_after"))
    return (
        select(projects, jobs, case((jobs.c.state == JobState.QUEUED.value, position)), online)
        .join_from(projects, jobs, jobs.c.id == projects.c.job_id)
        .where(projects.c.id == bindparam("project_id"))
    )


_STATUS = _select_status()


class SqlProjects(ProjectRepository):
    """The projects of a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, project: Project) -> None:
        """Add a new one."""
        self._transaction.change(insert(projects), from_project(project))

    def get(self, project_id: str) -> Project:
        """Return one, with the state of its latest job."""
        rows = self._transaction.fetch(_ONE, project_id=project_id)
        if not rows:
            raise ProjectNotFound(f"there is no project {project_id!r}", project_id=project_id)
        return to_project(rows[0])

    def save(self, project: Project) -> None:
        """Write a changed one."""
        save_version(self._transaction, projects, from_project(project))

    def delete(self, project_id: str) -> None:
        """Delete one; the database deletes its jobs and stems."""
        self._transaction.change(_DELETE, {"project_id": project_id})

    def list_owned(self, owner: str, *, limit: int, before: datetime | None = None) -> list[Project]:
        """Return an owner's projects, newest first."""
        if before is None:
            return self._list(_NEWEST, owner=owner, limit=limit)
        return self._list(_NEWEST_BEFORE, owner=owner, limit=limit, before=before)

    def list_created_between(self, after: datetime | None, before: datetime, *, limit: int) -> list[Project]:
        """Return anybody's projects of some time, oldest first."""
        if after is None:
            return self._list(_OLDEST, before=before, limit=limit)
        return self._list(_OLDEST_AFTER, after=after, before=before, limit=limit)

    def find_existing(self, project_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are a project's."""
        starts = range(0, len(project_ids), _IDS_PER_QUERY)
        batches = (list(project_ids[start : start + _IDS_PER_QUERY]) for start in starts)
        return {row.id for batch in batches for row in self._transaction.fetch(_EXISTING, ids=batch)}

    def get_status(self, project_id: str, *, workers_seen_after: datetime) -> Status:
        """Return everything that a client asks for, in two queries."""
        rows = self._transaction.fetch(_STATUS, project_id=project_id, workers_seen_after=workers_seen_after)
        if not rows:
            raise ProjectNotFound(f"there is no project {project_id!r}", project_id=project_id)
        *facts, queue_position, worker_online = tuple(rows[0])
        split = len(PROJECT_COLUMNS)
        job = to_job(facts[split : split + len(JOB_COLUMNS)])
        return Status(
            project=to_project([*facts[:split], job.state]),
            job=job,
            stems=tuple(list_stems(self._transaction, project_id)),
            queue_position=queue_position,
            worker_online=bool(worker_online),
        )

    def _list(self, statement: Select[Any], **values: object) -> list[Project]:
        return [to_project(row) for row in self._transaction.fetch(statement, **values)]
