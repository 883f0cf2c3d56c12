"""The tables. `migrations` makes them; a test holds that both say the same.

Rules of this file
------------------
- Whatever a query looks for or sorts by has an index that begins with it; a status is read by primary keys and indexes
  alone.
- ``projects.job_id`` has no foreign key, because jobs refer to projects: whoever adds both in one unit of work need
  not mind the order, and the other keys are checked at the commit.
- Times are in UTC; facts that nothing searches (recipes, failures, outcomes) are JSON documents, kept as text, which
  carries every string and float that Python has on every database.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, with its zone, on databases with and without zones; microseconds are kept."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn a moment of any zone into UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back what was stored, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Document(TypeDecorator[Any]):
    """Values that JSON can hold, as text; infinities and lone surrogates included."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write a document."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Read a document."""
        return None if value is None else json.loads(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _parent(column: str) -> ForeignKey:
    """Refer to a row that may be added later in the unit of work, and with which this one goes."""
    return ForeignKey(column, ondelete="CASCADE", deferrable=True, initially="DEFERRED")


projects = Table(
    "projects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mixture_key", Text, nullable=False),
    Column("mixture_kind", Text, nullable=False),
    Column("mixture_size_bytes", BigInteger, nullable=False),
    Column("mixture_sha256", Text, nullable=False),
    Column("mixture_sample_rate", Integer, nullable=False),
    Column("mixture_channels", Integer, nullable=False),
    Column("mixture_duration", Double),
    Column("created_at", UtcDateTime, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "owner", "created_at", "id"),
    Index(None, "created_at", "id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", Text, _parent("projects.id"), nullable=False),
    Column("owner", Text, nullable=False),
    Column("recipe", Document, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("enqueued_at", UtcDateTime, nullable=False),
    Column("route", Text, nullable=False),
    Column("timeout_seconds", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("cancel_requested", Boolean, nullable=False),
    Column("phase", Text, nullable=False),
    Column("fraction", Double, nullable=False),
    Column("eta_seconds", Double),
    Column("playable_samples", BigInteger, nullable=False),
    Column("failure", Document),
    Column("outcome", Document),
    Column("version", Integer, nullable=False),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "owner", "state"),
    Index(None, "owner", "fingerprint", "created_at"),
    Index(None, "state", "route", "created_at", "id"),
    Index(None, "state", "enqueued_at"),
    Index(None, "state", "lease_until"),
)

stems = Table(
    "stems",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", Text, _parent("projects.id"), nullable=False),
    Column("job_id", Text, _parent("jobs.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("peaks_key", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("sample_rate", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("samples", BigInteger, nullable=False),
    Column("peak", Double, nullable=False),
    Column("gain_db", Double, nullable=False),
    UniqueConstraint("project_id", "position"),
)

workers = Table(
    "workers",  # a row for each route that a worker serves: who asks whether one is online, asks for a route
    metadata,
    Column("id", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False, index=True),
    Column("job_id", Text, nullable=False),
    Index(None, "route", "seen_at"),
)

usage = Table(
    "usage",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("projects", Integer, nullable=False),
)
