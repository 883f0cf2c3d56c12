"""The tables and repositories of the in-memory twin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import attrs

from isomix.domain.job import Job, JobState
from isomix.domain.project import Project
from isomix.domain.status import Status
from isomix.domain.stem import Stem
from isomix.domain.worker import Worker
from isomix.errors import ConcurrentUpdate, JobNotFound, PersistenceError, ProjectNotFound
from isomix.ports import JobRepository, ProjectRepository, StemRepository, UsageRepository, WorkerRepository

Record = TypeVar("Record", Project, Job)


@attrs.frozen
class Tables:
    """Everything there is at one moment.

    Parameters
    ----------
    projects, jobs, stems, workers, usage : dict
        Records by id; stems by project, usage by owner and period.
    """

    projects: dict[str, Project] = attrs.field(factory=dict)
    jobs: dict[str, Job] = attrs.field(factory=dict)
    stems: dict[str, tuple[Stem, ...]] = attrs.field(factory=dict)
    workers: dict[str, Worker] = attrs.field(factory=dict)
    usage: dict[tuple[str, str], int] = attrs.field(factory=dict)

    def copy(self) -> Tables:
        """Return tables that can be changed without changing these."""
        return Tables(*map(dict, attrs.astuple(self, recurse=False)))

    def check_references(self) -> None:
        """Refuse records that refer to nothing, as foreign keys do at a commit.

        Raises
        ------
        PersistenceError
            If there are any.
        """
        for job in self.jobs.values():
            if job.project_id not in self.projects:
                raise PersistenceError(f"job {job.id} refers to project {job.project_id}, which is not there")
        for stem in (stem for stems in self.stems.values() for stem in stems):
            if stem.project_id not in self.projects or stem.job_id not in self.jobs:
                raise PersistenceError(f"stem {stem.id} refers to a project or a job that is not there")


class View(Protocol):
    """What a repository needs of the unit of work that it belongs to."""

    @property
    def tables(self) -> Tables:
        """The tables, to be read."""

    @property
    def changing(self) -> Tables:
        """The tables, to be changed; raises `PersistenceError` if they may not be."""


def _add(table: dict[str, Record], record: Record) -> None:
    if record.id in table:
        raise PersistenceError(f"there is a record {record.id} already")
    table[record.id] = _in_utc(record)


def _save(table: dict[str, Record], record: Record) -> None:
    stored = table.get(record.id)
    if stored is None or stored.version != record.version:
        raise ConcurrentUpdate(f"{record.id} is gone or was changed since version {record.version}", id=record.id)
    table[record.id] = attrs.evolve(_in_utc(record), version=record.version + 1)


def _in_utc(record: Record) -> Record:
    values = attrs.asdict(record, recurse=False)
    moments: dict[str, Any] = {
        name: value.astimezone(UTC) for name, value in values.items() if isinstance(value, datetime)
    }
    return attrs.evolve(record, **moments)


def _by_age(record: Project | Job) -> tuple[datetime, str]:
    return record.created_at, record.id


class MemoryProjects(ProjectRepository):
    """The projects of a unit of work."""

    def __init__(self, view: View) -> None:
        self._view = view

    def add(self, project: Project) -> None:
        """Add a new one."""
        _add(self._view.changing.projects, project)

    def get(self, project_id: str) -> Project:
        """Return one, with the state of its latest job."""
        project = self._view.tables.projects.get(project_id)
        if project is None:
            raise ProjectNotFound(f"there is no project {project_id!r}", project_id=project_id)
        return self._with_state(project)

    def save(self, project: Project) -> None:
        """Write a changed one."""
        _save(self._view.changing.projects, project)

    def delete(self, project_id: str) -> None:
        """Delete one with its jobs and stems."""
        tables = self._view.changing
        tables.projects.pop(project_id, None)
        tables.stems.pop(project_id, None)
        for job in [job for job in tables.jobs.values() if job.project_id == project_id]:
            del tables.jobs[job.id]

    def list_owned(self, owner: str, *, limit: int, before: datetime | None = None) -> list[Project]:
        """Return an owner's projects, newest first."""
        projects = [project for project in self._view.tables.projects.values() if project.owner == owner]
        earlier = [project for project in projects if before is None or project.created_at < before]
        return self._with_states(sorted(earlier, key=_by_age, reverse=True)[:limit])

    def list_created_between(self, after: datetime | None, before: datetime, *, limit: int) -> list[Project]:
        """Return anybody's projects of some time, oldest first."""
        earlier = [project for project in self._view.tables.projects.values() if project.created_at < before]
        between = [project for project in earlier if after is None or project.created_at > after]
        return self._with_states(sorted(between, key=_by_age)[:limit])

    def find_existing(self, project_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are a project's."""
        return set(project_ids) & set(self._view.tables.projects)

    def get_status(self, project_id: str, *, workers_seen_after: datetime) -> Status:
        """Return everything that a client asks for."""
        tables, project = self._view.tables, self.get(project_id)
        job = tables.jobs.get(project.job_id)
        if job is None:
            raise ProjectNotFound(f"there is no job of project {project_id!r}", project_id=project_id)
        waiting = [other for other in tables.jobs.values() if other.state is JobState.QUEUED]
        ahead = sum(other.route == job.route and _by_age(other) < _by_age(job) for other in waiting)
        awake = [worker for worker in tables.workers.values() if worker.seen_at > workers_seen_after]
        return Status(
            project=project,
            job=job,
            stems=tables.stems.get(project_id, ()),
            queue_position=ahead if job.state is JobState.QUEUED else None,
            worker_online=any(job.route in worker.routes for worker in awake),
        )

    def _with_state(self, project: Project) -> Project:
        job = self._view.tables.jobs.get(project.job_id)
        return attrs.evolve(project, job_state=job.state if job else JobState.QUEUED)

    def _with_states(self, projects: Iterable[Project]) -> list[Project]:
        return [self._with_state(project) for project in projects]


class MemoryJobs(JobRepository):
    """The jobs of a unit of work."""

    def __init__(self, view: View) -> None:
        self._view = view

    def add(self, job: Job) -> None:
        """Add a new one."""
        _add(self._view.changing.jobs, job)

    def get(self, job_id: str) -> Job:
        """Return one."""
        job = self._view.tables.jobs.get(job_id)
        if job is None:
            raise JobNotFound(f"there is no job {job_id!r}", job_id=job_id)
        return job

    def save(self, job: Job) -> None:
        """Write a changed one."""
        _save(self._view.changing.jobs, job)

    def list_of_project(self, project_id: str) -> list[Job]:
        """Return a project's jobs, oldest first."""
        return sorted((job for job in self._all() if job.project_id == project_id), key=_by_age)

    def list_expired(self, now: datetime, *, limit: int) -> list[Job]:
        """Return running jobs whose lease has ended, oldest lease first."""
        running = [job for job in self._all() if job.state is JobState.RUNNING]
        expired = [(job.lease_until, job.id, job) for job in running if job.lease_until and job.lease_until < now]
        return [job for _, _, job in sorted(expired, key=lambda lease: lease[:2])][:limit]

    def list_queued(self, *, enqueued_before: datetime, limit: int) -> list[Job]:
        """Return queued jobs, oldest message first."""
        queued = [job for job in self._all() if job.state is JobState.QUEUED and job.enqueued_at < enqueued_before]
        return sorted(queued, key=lambda job: (job.enqueued_at, job.id))[:limit]

    def count_queued(self, route: str) -> int:
        """Return how many jobs wait on a route."""
        return sum(job.state is JobState.QUEUED and job.route == route for job in self._all())

    def count_active(self, owner: str) -> int:
        """Return how many of an owner's jobs are queued or running."""
        return sum(job.is_active and job.owner == owner for job in self._all())

    def find_equal(self, owner: str, fingerprint: str) -> Job | None:
        """Return the owner's newest succeeded job of that fingerprint whose stems are there, or None."""
        made = {stem.job_id for stems in self._view.tables.stems.values() for stem in stems}
        alike = [job for job in self._all() if (job.owner, job.fingerprint) == (owner, fingerprint) and job.id in made]
        return max((job for job in alike if job.state is JobState.SUCCEEDED), key=_by_age, default=None)

    def _all(self) -> Iterable[Job]:
        return self._view.tables.jobs.values()


class MemoryStems(StemRepository):
    """The stems of a unit of work."""

    def __init__(self, view: View) -> None:
        self._view = view

    def replace(self, project_id: str, stems: Sequence[Stem]) -> None:
        """Make these the project's stems."""
        tables = self._view.changing
        if len({stem.position for stem in stems}) != len(stems):
            raise PersistenceError(f"two stems of project {project_id} have one position")
        tables.stems[project_id] = tuple(sorted(stems, key=lambda stem: stem.position))

    def list_of_project(self, project_id: str) -> list[Stem]:
        """Return a project's stems, by position."""
        return list(self._view.tables.stems.get(project_id, ()))


class MemoryWorkers(WorkerRepository):
    """The workers of a unit of work."""

    def __init__(self, view: View) -> None:
        self._view = view

    def beat(self, worker: Worker) -> None:
        """Remember a worker, or that it spoke up again."""
        self._view.changing.workers[worker.id] = worker

    def list_seen_after(self, moment: datetime) -> list[Worker]:
        """Return the workers that spoke up after a moment, by id."""
        workers = self._view.tables.workers
        return [workers[name] for name in sorted(workers) if workers[name].seen_at > moment]

    def delete_seen_before(self, moment: datetime) -> None:
        """Forget workers that have been silent since."""
        workers = self._view.changing.workers
        for worker in [worker for worker in workers.values() if worker.seen_at < moment]:
            del workers[worker.id]

    def delete(self, worker_id: str) -> None:
        """Forget a worker."""
        self._view.changing.workers.pop(worker_id, None)


class MemoryUsage(UsageRepository):
    """The used quotas of a unit of work."""

    def __init__(self, view: View) -> None:
        self._view = view

    def spend(self, owner: str, period: str) -> int:
        """Count one upload and return how many there were before."""
        usage = self._view.changing.usage
        before = usage.get((owner, period), 0)
        usage[owner, period] = before + 1
        return before

    def get(self, owner: str, period: str) -> int:
        """Return how many uploads were counted."""
        return self._view.tables.usage.get((owner, period), 0)
