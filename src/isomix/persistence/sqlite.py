"""SQLite: one file, many readers, one writer at a time; for one machine."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from isomix.errors import PersistenceError
from isomix.persistence.door import translated
from isomix.persistence.sql import Engines, SqlDatabase

_WAIT_SECONDS = 10.0
_POOL = {"pool_size": 16, "max_overflow": 48}
"""Connections that are kept, and more that are opened when many threads ask at once: each is a few file handles."""


class SqliteDatabase(SqlDatabase):
    """A database in a file.

    Parameters
    ----------
    path : Path
        The file; it and its folder are made on first use.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"sqlite:///{path}")
        self._path = path

    def upgrade(self) -> None:
        """Bring the schema up to date, and the file into the mode in which readers never wait."""
        with translated(self.url):
            self._write_ahead()
        super().upgrade()

    def _write_ahead(self) -> None:
        """Turn on the write-ahead log, which the file remembers from then on."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self._try_write_ahead():
            if time.monotonic() > deadline:
                raise PersistenceError(f"the database {self.url} is locked", hint="another process holds it")
            time.sleep(0.02)

    def _try_write_ahead(self) -> bool:
        with self.engines.read.connect() as connection:
            # past SQLAlchemy, which would begin a transaction, inside which the mode cannot change
            cursor = connection.connection.cursor()
            try:
                cursor.execute("PRAGMA journal_mode=WAL")
            except sqlite3.Error as error:
                # SQLite does not wait by itself when two turn it on at once
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                    return False
                raise PersistenceError(f"the database {self.url} failed: {error}") from error
        return True

    def _lock_schema(self, connection: Connection) -> None:
        """Nothing: the transaction has begun as the only writer."""

    def _make_engines(self) -> Engines:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PersistenceError(f"the folder of {self._path} cannot be made: {error}") from error
        engine = create_engine(
            URL.create("sqlite", database=str(self._path)),
            # the driver begins no transactions of its own, which would be deferred ones and only around writes
            connect_args={"timeout": _WAIT_SECONDS, "isolation_level": None},
            **_POOL,
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return Engines(engine.execution_options(begin="IMMEDIATE"), engine.execution_options(begin="DEFERRED"))


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    # NORMAL would lose the last commits in a power cut, and with them uploads that were accepted
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    # a writer takes the lock at once: one that reads first and then writes could not wait for another
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options()['begin']}")
