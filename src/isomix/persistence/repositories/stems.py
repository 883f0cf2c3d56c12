"""Stems in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, insert, select

from isomix.domain.stem import Stem
from isomix.persistence import tables
from isomix.persistence.records import from_stem, to_stem
from isomix.persistence.repositories.transaction import Transaction
from isomix.ports import StemRepository

_OF_PROJECT = (
    select(tables.stems).where(tables.stems.c.project_id == bindparam("of_project")).order_by(tables.stems.c.position)
)
_DELETE = delete(tables.stems).where(tables.stems.c.project_id == bindparam("of_project"))


def list_stems(transaction: Transaction, project_id: str) -> list[Stem]:
    """Return a project's stems, by position."""
    return [to_stem(row) for row in transaction.fetch(_OF_PROJECT, of_project=project_id)]


class SqlStems(StemRepository):
    """The stems of a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def replace(self, project_id: str, stems: Sequence[Stem]) -> None:
        """Make these the project's stems."""
        self._transaction.change(_DELETE, {"of_project": project_id})
        if stems:
            self._transaction.change(insert(tables.stems), [from_stem(stem) for stem in stems])

    def list_of_project(self, project_id: str) -> list[Stem]:
        """Return a project's stems, by position."""
        return list_stems(self._transaction, project_id)
