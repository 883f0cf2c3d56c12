"""Workers in SQL: a row for each route that one serves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, bindparam, delete, select

from isomix.domain.worker import Worker
from isomix.persistence.repositories.transaction import Transaction, make_upsert
from isomix.persistence.tables import workers
from isomix.ports import WorkerRepository

_SEEN_AFTER = select(workers).where(workers.c.seen_at > bindparam("moment")).order_by(workers.c.id, workers.c.position)
_DELETE_SEEN_BEFORE = delete(workers).where(workers.c.seen_at < bindparam("moment"))
_DELETE = delete(workers).where(workers.c.id == bindparam("worker_id"))
_DELETE_OTHER_ROUTES = _DELETE.where(workers.c.route.not_in(bindparam("routes", expanding=True)))


class SqlWorkers(WorkerRepository):
    """The workers of a transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def beat(self, worker: Worker) -> None:
        """Remember a worker, or that it spoke up again."""
        upsert = make_upsert(self._transaction, workers)
        changing = {name: upsert.excluded[name] for name in ("position", "seen_at", "job_id")}
        statement = upsert.on_conflict_do_update(index_elements=["id", "route"], set_=changing)
        facts = {"id": worker.id, "seen_at": worker.seen_at, "job_id": worker.job_id}
        for position, route in enumerate(worker.routes):
            self._transaction.change(statement, {**facts, "route": route, "position": position})
        self._transaction.change(_DELETE_OTHER_ROUTES, {"worker_id": worker.id, "routes": list(worker.routes)})

    def list_seen_after(self, moment: datetime) -> list[Worker]:
        """Return the workers that spoke up after a moment, by id."""
        rows = self._transaction.fetch(_SEEN_AFTER, moment=moment)
        return [_to_worker(list(group)) for _, group in groupby(rows, key=lambda row: row.id)]

    def delete_seen_before(self, moment: datetime) -> None:
        """Forget workers that have been silent since."""
        self._transaction.change(_DELETE_SEEN_BEFORE, {"moment": moment})

    def delete(self, worker_id: str) -> None:
        """Forget a worker."""
        self._transaction.change(_DELETE, {"worker_id": worker_id})


def _to_worker(rows: Sequence[Row[Any]]) -> Worker:
    first = rows[0]
    return Worker(id=first.id, routes=tuple(row.route for row in rows), seen_at=first.seen_at, job_id=first.job_id)
