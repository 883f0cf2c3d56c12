"""What the databases under SQLAlchemy have in common: engines, units of work, the schema."""

from __future__ import annotations

import os
from abc import abstractmethod

import attrs
from sqlalchemy import Connection, Engine

from isomix.persistence import schema
from isomix.persistence.door import translated
from isomix.persistence.unit import SqlUnit
from isomix.ports import Database, UnitOfWork


@attrs.frozen
class Engines:
    """Two faces of one pool of connections.

    Parameters
    ----------
    write, read : Engine
        Whose transactions may change something; whose transactions see one moment and wait for nobody.
    """

    write: Engine
    read: Engine


class SqlDatabase(Database):
    """A database under SQLAlchemy. It connects when it is first asked something, anew in each process."""

    def __init__(self, url: str) -> None:
        self.url = url
        # By process: a forked child that used its parent's connections would talk into the parent's conversations.
        # The parent's stay in the child's copy of this dictionary, because even closing them would be heard.
        self._engines: dict[int, Engines] = {}

    @abstractmethod
    def _make_engines(self) -> Engines:
        """Return new engines, not connected yet."""

    @abstractmethod
    def _lock_schema(self, connection: Connection) -> None:
        """Keep other processes from changing the schema until the transaction ends."""

    @property
    def engines(self) -> Engines:
        """Those of the process that asks."""
        engines = self._engines.get(os.getpid())
        # two threads may both make some; the first to be kept are used, and the others never connect
        return engines or self._engines.setdefault(os.getpid(), self._make_engines())

    def begin(self) -> UnitOfWork:
        """Return a unit of work that may write."""
        return SqlUnit(self.engines.write, self.url, writes=True)

    def read(self) -> UnitOfWork:
        """Return a unit of work that only reads."""
        return SqlUnit(self.engines.read, self.url, writes=False)

    def upgrade(self) -> None:
        """Bring the schema up to date."""
        with translated(self.url), self.engines.write.begin() as connection:
            self._lock_schema(connection)
            schema.upgrade(connection)

    def check(self) -> None:
        """Reach it and compare its schema with the one this isomix wants."""
        with translated(self.url), self.engines.read.connect() as connection:
            schema.check(connection, self.url)

    def close(self) -> None:
        """Let go of this process's connections."""
        engines = self._engines.pop(os.getpid(), None)
        if engines is not None:
            engines.write.dispose()
