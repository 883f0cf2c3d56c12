"""Quotas that were used, in SQL."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from isomix.persistence.repositories.transaction import Transaction, make_upsert
from isomix.persistence.tables import usage
from isomix.ports import UsageRepository

_OF_PERIOD = select(usage.c.projects).where(
    usage.c.owner == bindparam("of_owner"), usage.c.period == bindparam("in_period")
)


class SqlUsage(UsageRepository):
    """The used quotas of a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def spend(self, owner: str, period: str) -> int:
        """Count one upload and return how many there were before; the row stays locked until the transaction ends."""
        statement = (
            make_upsert(self._transaction, usage)
            .on_conflict_do_update(index_elements=["owner", "period"], set_={"projects": usage.c.projects + 1})
            .returning(usage.c.projects)
        )
        _, rows = self._transaction.change(statement, {"owner": owner, "period": period, "projects": 1})
        return int(rows[0].projects) - 1

    def get(self, owner: str, period: str) -> int:
        """Return how many uploads were counted."""
        rows = self._transaction.fetch(_OF_PERIOD, of_owner=owner, in_period=period)
        return rows[0].projects if rows else 0
