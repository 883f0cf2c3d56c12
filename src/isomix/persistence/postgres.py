"""PostgreSQL: for several machines."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

# SQLAlchemy would look for the driver only when it connects; without it, opening is to fail
import psycopg
from sqlalchemy import URL, Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from isomix.errors import InvalidOptions
from isomix.persistence.door import translated
from isomix.persistence.sql import Engines, SqlDatabase

_SCHEMA_LOCK = 0x150_317
"""Any number that is always the same: upgrades of a database's schema wait for each other on it."""
_CLOCK_SECONDS = 60.0
_CONNECT: dict[str, Any] = {
    "connect_timeout": 10,
    # a peer that lost its power says no good-bye
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_POOL = {"pool_size": 5, "max_overflow": 10, "pool_pre_ping": True}


class PostgresDatabase(SqlDatabase):
    """A database on a server.

    Parameters
    ----------
    url : str
        With driver and password.

    Raises
    ------
    InvalidOptions
        If it is not a URL.
    """

    def __init__(self, url: str) -> None:
        self._address = _parse(url)
        shown = self._address.set(drivername="postgresql")
        super().__init__(shown.render_as_string(hide_password=True))
        self._offset = timedelta()
        self._measured_at = float("-inf")

    def now(self) -> datetime:
        """Return the moment by the server's clock: asked once a minute, in between by the difference to this one's."""
        if time.monotonic() - self._measured_at > _CLOCK_SECONDS:
            self._offset = self._measure_offset()
            self._measured_at = time.monotonic()
        return datetime.now(UTC) + self._offset

    def _measure_offset(self) -> timedelta:
        with translated(self.url), self.engines.read.connect() as connection:
            connection.execute(text("SELECT 1"))  # connecting takes longer than asking, and would be halved below
            before = datetime.now(UTC)
            server: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            after = datetime.now(UTC)
        return server - (before + (after - before) / 2)

    def _lock_schema(self, connection: Connection) -> None:
        """Wait for another upgrade, for as long as it takes."""
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})

    def _make_engines(self) -> Engines:
        engine = create_engine(
            self._address,
            isolation_level="READ COMMITTED",
            connect_args={name: value for name, value in _CONNECT.items() if name not in self._address.query},
            **_POOL,
        )
        event.listen(engine, "connect", _prepare)
        # a status is two queries that have to be of one moment
        reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return Engines(engine, reading)


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        # what was given may hold a password
        raise InvalidOptions(
            "the database's URL cannot be read",
            hint="write postgresql://USER:PASSWORD@HOST/NAME, with %-escapes for odd characters in the password",
            option="database",
            value="postgresql://...",
        ) from error


def _prepare(connection: psycopg.Connection[Any], _: ConnectionPoolEntry) -> None:
    """Bound how long this session waits for others, and others for it: a paused process must not stop them all."""
    connection.autocommit = True
    connection.execute("SET lock_timeout = '10s'")
    connection.execute("SET idle_in_transaction_session_timeout = '15s'")
    connection.autocommit = False
