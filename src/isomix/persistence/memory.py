"""The in-memory twin: what the databases promise, in dictionaries, for tests and for applications that forget.

A unit of work that writes changes copies of the tables, and a commit puts them in the place of the former ones. So
readers see one moment without waiting, and forgetting is letting go.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from isomix.errors import PersistenceError
from isomix.persistence.memory_repositories import (
    MemoryJobs,
    MemoryProjects,
    MemoryStems,
    MemoryUsage,
    MemoryWorkers,
    Tables,
)
from isomix.ports import Database, UnitOfWork

_WAIT_SECONDS = 10.0


class MemoryDatabase(Database):
    """A database that is gone when its process is.

    Parameters
    ----------
    url : str
        What people see.
    """

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self.tables = Tables()
        self.writing = threading.Lock()

    def begin(self) -> UnitOfWork:
        """Return a unit of work that may write; it waits until no other does."""
        return MemoryUnit(self, writes=True)

    def read(self) -> UnitOfWork:
        """Return a unit of work that only reads."""
        return MemoryUnit(self, writes=False)

    def upgrade(self) -> None:
        """Do nothing: there is no schema."""

    def check(self) -> None:
        """Do nothing: it is always there."""

    def close(self) -> None:
        """Do nothing: there are no connections."""


class MemoryUnit(UnitOfWork):
    """A unit of work on the tables of a `MemoryDatabase`."""

    def __init__(self, database: MemoryDatabase, *, writes: bool) -> None:
        self._database = database
        self._writes = writes
        self._tables: Tables | None = None
        self.projects = MemoryProjects(self)
        self.jobs = MemoryJobs(self)
        self.stems = MemoryStems(self)
        self.workers = MemoryWorkers(self)
        self.usage = MemoryUsage(self)

    @property
    def tables(self) -> Tables:
        """The tables as this unit of work sees them."""
        if self._tables is None:
            raise PersistenceError("this unit of work has ended, or has not begun")
        return self._tables

    @property
    def changing(self) -> Tables:
        """The tables, to be changed."""
        tables = self.tables
        if not self._writes:
            raise PersistenceError("this unit of work only reads", hint="take Database.begin() to write")
        return tables

    def commit(self) -> None:
        """Make everything visible and end."""
        try:
            tables = self.tables
            if self._writes:
                tables.check_references()
                self._database.tables = tables
        finally:
            self._end()

    def rollback(self) -> None:
        """Forget everything since the beginning."""
        if self.tables and self._writes:
            self._tables = self._database.tables.copy()

    def __enter__(self) -> Self:
        """Begin."""
        if self._writes and not self._database.writing.acquire(timeout=_WAIT_SECONDS):
            raise PersistenceError(f"the database {self._database.url} is locked", hint="another thread holds it")
        self._tables = self._database.tables.copy() if self._writes else self._database.tables
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Roll back what was not committed."""
        self._end()

    def _end(self) -> None:
        if self._tables is not None:
            self._tables = None
            if self._writes:
                self._database.writing.release()
