"""A unit of work over SQLAlchemy: one transaction on one connection, given back as soon as it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, Executable, Row
from sqlalchemy.exc import SQLAlchemyError

from isomix.errors import PersistenceError
from isomix.persistence.door import translated
from isomix.persistence.repositories.jobs import SqlJobs
from isomix.persistence.repositories.projects import SqlProjects
from isomix.persistence.repositories.stems import SqlStems
from isomix.persistence.repositories.usage import SqlUsage
from isomix.persistence.repositories.workers import SqlWorkers
from isomix.ports import UnitOfWork


class SqlUnit(UnitOfWork):
    """A transaction.

    Parameters
    ----------
    engine : Engine
        Whose connections begin transactions of the right kind.
    url : str
        Of the database, for errors.
    writes : bool
        Whether it may change anything.
    """

    def __init__(self, engine: Engine, url: str, *, writes: bool) -> None:
        self._engine = engine
        self._url = url
        self._writes = writes
        self._connection: Connection | None = None
        self.projects = SqlProjects(self)
        self.jobs = SqlJobs(self)
        self.stems = SqlStems(self)
        self.workers = SqlWorkers(self)
        self.usage = SqlUsage(self)

    @property
    def dialect(self) -> str:
        """Which database it is: ``"sqlite"`` or ``"postgresql"``."""
        return self._engine.dialect.name

    def fetch(self, statement: Executable, **values: object) -> Sequence[Row[Any]]:
        """Return the rows of a query."""
        with translated(self._url):
            return self._open_connection().execute(statement, values).all()

    def change(
        self, statement: Executable, values: Mapping[str, object] | Sequence[Mapping[str, object]]
    ) -> tuple[int, Sequence[Row[Any]]]:
        """Change rows; return how many, and what the statement returns of them.

        Raises
        ------
        PersistenceError
            If the unit of work only reads, or the database refuses.
        """
        if not self._writes:
            raise PersistenceError("this unit of work only reads", hint="take Database.begin() to write")
        with translated(self._url):
            result = self._open_connection().execute(statement, values)
            return result.rowcount, result.all() if result.returns_rows else ()

    def commit(self) -> None:
        """Make everything visible and end."""
        connection = self._open_connection()
        try:
            with translated(self._url):
                connection.commit()
        except BaseException:
            # SQLite keeps a transaction open whose commit it refused; SQLAlchemy takes it for over
            connection.invalidate()
            raise
        finally:
            self._end()

    def rollback(self) -> None:
        """Forget everything since the beginning."""
        with translated(self._url):
            self._open_connection().rollback()

    def __enter__(self) -> Self:
        """Begin."""
        with translated(self._url):
            self._connection = self._engine.connect()
            try:
                self._connection.begin()
            except BaseException:
                self._end()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Roll back what was not committed."""
        self._end()

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise PersistenceError("this unit of work has ended, or has not begun")
        return self._connection

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # a connection that cannot even roll back is broken, and its database forgets by itself
            with suppress(SQLAlchemyError):
                connection.close()
