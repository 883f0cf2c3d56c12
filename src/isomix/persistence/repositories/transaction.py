"""What a repository needs of the unit of work that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Executable, Row, Table, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite

from isomix.errors import ConcurrentUpdate

Upsert = sqlite.Insert | postgresql.Insert


class Transaction(Protocol):
    """A connection inside a transaction; what goes wrong leaves it as isomix's errors."""

    @property
    def dialect(self) -> str:
        """Which database it is: ``"sqlite"`` or ``"postgresql"``."""

    def fetch(self, statement: Executable, **values: object) -> Sequence[Row[Any]]:
        """Return the rows of a query."""

    def change(
        self, statement: Executable, values: Mapping[str, object] | Sequence[Mapping[str, object]]
    ) -> tuple[int, Sequence[Row[Any]]]:
        """Change rows; return how many, and what the statement returns of them."""


def make_upsert(transaction: Transaction, table: Table) -> Upsert:
    """Return an insert that can be told what to do if the row is there; each database has its own."""
    return postgresql.insert(table) if transaction.dialect == "postgresql" else sqlite.insert(table)


def save_version(transaction: Transaction, table: Table, row: Mapping[str, Any]) -> None:
    """Write a row if the stored version is still the row's, and raise it by one.

    Raises
    ------
    ConcurrentUpdate
        If it is not, or the row is gone.
    """
    statement = update(table).where(table.c.id == bindparam("seen_id"), table.c.version == bindparam("seen_version"))
    values = {name: value for name, value in row.items() if name != "id"}
    seen = {"seen_id": row["id"], "seen_version": row["version"]}
    count, _ = transaction.change(statement, values | seen | {"version": row["version"] + 1})
    if not count:
        raise ConcurrentUpdate(
            f"{row['id']} in {table.name} is gone or was changed since version {row['version']}", id=row["id"]
        )
