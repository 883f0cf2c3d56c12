"""The seam to the database: repositories inside units of work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from isomix.domain.job import Job
from isomix.domain.project import Project
from isomix.domain.status import Status
from isomix.domain.stem import Stem
from isomix.domain.worker import Worker


class ProjectRepository(ABC):
    """The projects, inside one unit of work."""

    @abstractmethod
    def add(self, project: Project) -> None:
        """Add a new one."""

    @abstractmethod
    def get(self, project_id: str) -> Project:
        """Return one, with the state of its latest job.

        Raises
        ------
        ProjectNotFound
            If there is none.
        """

    @abstractmethod
    def save(self, project: Project) -> None:
        """Write a changed one; its version must be the stored one, which then rises by one.

        Raises
        ------
        ConcurrentUpdate
            If it is not, or the project is gone.
        """

    @abstractmethod
    def delete(self, project_id: str) -> None:
        """Delete one with its jobs and stems; deleting what is not there is harmless."""

    @abstractmethod
    def list_owned(self, owner: str, *, limit: int, before: datetime | None = None) -> list[Project]:
        """Return an owner's projects, newest first; only those created before a moment, if one is given."""

    @abstractmethod
    def list_created_between(self, after: datetime | None, before: datetime, *, limit: int) -> list[Project]:
        """Return anybody's projects created after one moment (None: since ever) and before another, oldest first."""

    @abstractmethod
    def find_existing(self, project_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are a project's."""

    @abstractmethod
    def get_status(self, project_id: str, *, workers_seen_after: datetime) -> Status:
        """Return a project, its latest job, its stems in order, the queue position and whether a worker is online.

        At most two queries, on indexes alone: this is what every client asks all the time. The queue position counts
        queued jobs of the same route that were created earlier (id breaks ties); None unless the job is queued. A
        worker is online if one that serves the job's route was seen after the moment given.

        Raises
        ------
        ProjectNotFound
            If there is none.
        """


class JobRepository(ABC):
    """The jobs, inside one unit of work."""

    @abstractmethod
    def add(self, job: Job) -> None:
        """Add a new one; its project must be there by the time of the commit."""

    @abstractmethod
    def get(self, job_id: str) -> Job:
        """Return one.

        Raises
        ------
        JobNotFound
            If there is none.
        """

    @abstractmethod
    def save(self, job: Job) -> None:
        """Write a changed one; its version must be the stored one, which then rises by one.

        Raises
        ------
        ConcurrentUpdate
            If it is not, or the job is gone.
        """

    @abstractmethod
    def list_of_project(self, project_id: str) -> list[Job]:
        """Return a project's jobs, oldest first."""

    @abstractmethod
    def list_expired(self, now: datetime, *, limit: int) -> list[Job]:
        """Return running jobs whose lease ended before a moment, oldest lease first."""

    @abstractmethod
    def list_queued(self, *, enqueued_before: datetime, limit: int) -> list[Job]:
        """Return queued jobs whose message was last sent before a moment, oldest message first."""

    @abstractmethod
    def count_queued(self, route: str) -> int:
        """Return how many jobs wait on a route."""

    @abstractmethod
    def count_active(self, owner: str) -> int:
        """Return how many of an owner's jobs are queued or running."""

    @abstractmethod
    def find_equal(self, owner: str, fingerprint: str) -> Job | None:
        """Return the owner's newest succeeded job with that fingerprint whose stems are there, or None."""


class StemRepository(ABC):
    """The stems, inside one unit of work."""

    @abstractmethod
    def replace(self, project_id: str, stems: Sequence[Stem]) -> None:
        """Make these the project's stems, instead of those it has."""

    @abstractmethod
    def list_of_project(self, project_id: str) -> list[Stem]:
        """Return a project's stems, by position."""


class WorkerRepository(ABC):
    """The workers that were heard of, inside one unit of work."""

    @abstractmethod
    def beat(self, worker: Worker) -> None:
        """Remember a worker, or that it spoke up again."""

    @abstractmethod
    def list_seen_after(self, moment: datetime) -> list[Worker]:
        """Return the workers that spoke up after a moment, by id."""

    @abstractmethod
    def delete_seen_before(self, moment: datetime) -> None:
        """Forget workers that have been silent since."""

    @abstractmethod
    def delete(self, worker_id: str) -> None:
        """Forget a worker that says good-bye; forgetting an unknown one is harmless."""


class UsageRepository(ABC):
    """How much of a month's quota owners have used, inside one unit of work."""

    @abstractmethod
    def spend(self, owner: str, period: str) -> int:
        """Count one upload and return how many there were before.

        Until the unit of work ends, another one that spends for the same owner and period waits.
        """

    @abstractmethod
    def get(self, owner: str, period: str) -> int:
        """Return how many uploads were counted."""


class UnitOfWork(ABC):
    """Changes that become visible together, or not at all: without `commit`, leaving it rolls back.

    Attributes
    ----------
    projects, jobs, stems, workers, usage
        The repositories.
    """

    projects: ProjectRepository
    jobs: JobRepository
    stems: StemRepository
    workers: WorkerRepository
    usage: UsageRepository

    @abstractmethod
    def commit(self) -> None:
        """Make everything visible; at most once, and nothing more is done afterwards.

        Raises
        ------
        PersistenceError
            If the database refuses; nothing was changed, unless the connection broke at that very moment.
        """

    @abstractmethod
    def rollback(self) -> None:
        """Forget everything since the beginning."""

    @abstractmethod
    def __enter__(self) -> Self:
        """Begin."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Roll back what was not committed."""


class Database(ABC):
    """Where projects, jobs and stems are remembered. Safe to use from several threads.

    Every method raises `PersistenceError` if the database cannot be reached or refuses.
    """

    url: str
    """Where it is, for people: without a password."""

    @abstractmethod
    def begin(self) -> UnitOfWork:
        """Return a unit of work that may write."""

    @abstractmethod
    def read(self) -> UnitOfWork:
        """Return a unit of work that only reads, and never waits for a writer."""

    @abstractmethod
    def upgrade(self) -> None:
        """Bring the schema up to date; harmless if it is, or if two processes do it at once."""

    @abstractmethod
    def check(self) -> None:
        """Ask it something, and whether its schema is up to date; or raise."""

    def now(self) -> datetime:
        """Return the moment, in UTC, by the clock that all its users share where it has one."""
        return datetime.now(UTC)

    @abstractmethod
    def close(self) -> None:
        """Let go of connections; closing twice is harmless."""
