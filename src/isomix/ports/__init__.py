"""The seams of the studio: what it asks of storage, database, queue and events. Each docstring is a contract.

`isomix.testing` has a suite for each that any adapter can pass. Adapters translate what their libraries raise into
isomix's errors, at one door each.
"""

from __future__ import annotations

import attrs

from isomix.ports.database import (
    Database,
    JobRepository,
    ProjectRepository,
    StemRepository,
    UnitOfWork,
    UsageRepository,
    WorkerRepository,
)
from isomix.ports.queue import EventBus, JobQueue, RunJob
from isomix.ports.store import ObjectInfo, ObjectStore

__all__ = [
    "Database",
    "EventBus",
    "JobQueue",
    "JobRepository",
    "ObjectInfo",
    "ObjectStore",
    "Ports",
    "ProjectRepository",
    "RunJob",
    "StemRepository",
    "UnitOfWork",
    "UsageRepository",
    "WorkerRepository",
]


@attrs.frozen(kw_only=True)
class Ports:
    """The seams that a studio was composed of.

    Parameters
    ----------
    database : Database
    store : ObjectStore
    queue : JobQueue
    events : EventBus
    """

    database: Database
    store: ObjectStore
    queue: JobQueue
    events: EventBus

    def close(self) -> None:
        """Close all, the queue first: what it runs needs the others."""
        for port in (self.queue, self.events, self.store, self.database):
            port.close()
