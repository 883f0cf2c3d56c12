"""The composition root: the only room that chooses adapters, by the addresses in the settings."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from importlib import import_module
from typing import cast

import attrs

from isomix.audio.formats import FileFormat
from isomix.domain.limits import TIERS, LimitsOf
from isomix.errors import InvalidOptions, QueueUnavailable, StudioForked
from isomix.events import LocalBus, RedisBus
from isomix.persistence import open_database
from isomix.ports import Database, JobQueue, ObjectStore, Ports
from isomix.queue import AbsentQueue, BackgroundQueue, CeleryQueue, InlineQueue
from isomix.services.worker import JobWorker
from isomix.settings import StudioSettings
from isomix.storage import open_store

_REDIS = ("redis://", "rediss://", "redis+socket://", "unix://")


@attrs.frozen
class Composition:
    """What a studio is made of.

    Parameters
    ----------
    ports : Ports
        Database, store, queue, events.
    worker : JobWorker or None
        What runs jobs inside this process; None where others do.
    process : int
        Id of the process that all of it belongs to: neither threads nor SQLite's locks survive a fork.
    """

    ports: Ports
    worker: JobWorker | None
    process: int = attrs.field(factory=os.getpid)
    _closed: threading.Event = attrs.field(factory=threading.Event, init=False, repr=False, eq=False)

    def get_ports(self) -> Ports:
        """Return them, to the process that composed them.

        Raises
        ------
        StudioForked
            If this is another one.
        """
        if os.getpid() != self.process:
            raise StudioForked(
                f"the studio was opened by process {self.process}, and this is its fork {os.getpid()}",
                hint="open a studio in each process, after the fork",
                opened_by=self.process,
            )
        return self.ports

    def get_open_ports(self) -> Ports:
        """Return them for a new job, which nothing of this process would run once it is closed.

        Raises
        ------
        QueueUnavailable
            If it is closed.
        StudioForked
            If this is another process.
        """
        if self._closed.is_set():
            raise QueueUnavailable(
                "the studio is closed and takes no jobs", hint="open another", queue=self.ports.queue.name
            )
        return self.get_ports()

    def close(self) -> None:
        """Give running jobs of this process back, then let go of everything; closing twice is harmless.

        In a forked process nothing is done: all is its parent's.
        """
        if os.getpid() != self.process:
            return
        self._closed.set()
        self.ports.queue.close()
        if self.worker is not None:
            self.worker.close()
        self.ports.close()


def compose(settings: StudioSettings, limits_of: LimitsOf, *, works: bool = True) -> Composition:
    """Open what a studio is made of.

    Parameters
    ----------
    settings : StudioSettings
        Addresses.
    limits_of : callable
        Tells an owner's limits.
    works : bool
        Whether a queue inside this process runs jobs; an operator's tool leaves them to the application.

    Returns
    -------
    Composition
        Close it.

    Raises
    ------
    InvalidOptions
        If an address is of no known kind.
    StorageError, PersistenceError, QueueError
        If something cannot be opened.
    """
    _check(settings)
    with ExitStack() as opened:
        database = open_database(settings.database)
        opened.callback(database.close)
        if settings.auto_upgrade:
            database.upgrade()
        store = open_store(settings.storage, settings.storage_options)
        opened.callback(store.close)
        composition = _open_queue(settings, limits_of if works else None, database, store)
        opened.pop_all()
    return composition


def _open_queue(
    settings: StudioSettings, limits_of: LimitsOf | None, database: Database, store: ObjectStore
) -> Composition:
    if settings.queue.startswith(_REDIS):
        events = RedisBus(settings.queue)
        return Composition(
            Ports(database=database, store=store, queue=CeleryQueue(settings.queue), events=events), None
        )
    if settings.queue not in ("inline", "background"):
        raise InvalidOptions(
            f"there is no queue {settings.queue!r}",
            hint='it is "inline", "background" or "redis://HOST:PORT/DB"',
            option="queue",
            value=settings.queue,
        )
    if limits_of is None:
        ports = Ports(database=database, store=store, queue=AbsentQueue(), events=LocalBus())
        return Composition(ports, None)
    worker: JobWorker
    # The worker needs the queue, to send jobs back; the queue calls the worker, which is there before the first job.
    queue: JobQueue = InlineQueue(lambda job_id: worker.run(job_id))
    if settings.queue == "background":
        queue = BackgroundQueue(lambda job_id: worker.run(job_id), on_close=lambda: worker.stop())
    ports = Ports(database=database, store=store, queue=queue, events=LocalBus())
    worker = JobWorker(ports, settings, limits_of)
    if settings.queue == "background":
        worker.start()
    return Composition(ports, worker)


def _check(settings: StudioSettings) -> None:
    """Refuse what every job would fail with."""
    FileFormat.of(settings.stem_format, settings.stem_encoding)
    for option in ("database", "storage"):
        if settings.queue.startswith(_REDIS) and getattr(settings, option).startswith("memory://"):
            raise InvalidOptions(
                f"workers on Redis are other processes: they do not see a {option} in this one's memory",
                hint='name a place that they reach, or take queue="background"',
                option=option,
                value=getattr(settings, option),
            )


def find_limits(name: str) -> LimitsOf:
    """Return what tells owners' limits: of a tier for everybody, or an application's own function.

    Parameters
    ----------
    name : str
        ``"unlimited"``, ``"free"``, ``"pro"`` or ``"package.module:function"``.

    Raises
    ------
    InvalidOptions
        If there is no such tier or function.

    Examples
    --------
    >>> find_limits("free")("anybody").projects_per_month
    10
    """
    if name in TIERS:
        return lambda _: TIERS[name]
    module, _, function = name.partition(":")
    try:
        return cast("LimitsOf", getattr(import_module(module), function))
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(TIERS)
        raise InvalidOptions(
            f"limits={name!r} cannot be found: {error}",
            hint=f"name a tier ({known}) or package.module:function",
            option="limits",
            value=name,
        ) from error
