"""What clients learn: a project's status now, and each change of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from isomix.domain.project import Project
from isomix.domain.status import Status
from isomix.domain.worker import Worker
from isomix.errors import IsomixError, ProjectNotFound, WaitTimedOut
from isomix.ports import Ports
from isomix.services.worker import ONLINE_SECONDS

MAX_UPDATES_PER_SECOND = 5.0
"""A faster stream of changes is thinned: nobody sees more, and every change costs a query."""


def get_status(ports: Ports, project_id: str, owner: str | None) -> Status:
    """Return a project's status, from the database alone.

    Raises
    ------
    ProjectNotFound
        If there is none, or it is another owner's: nobody learns which.
    """
    seen_after = ports.database.now() - timedelta(seconds=ONLINE_SECONDS)
    with ports.database.read() as work:
        status = work.projects.get_status(project_id, workers_seen_after=seen_after)
    check_owner(status.project, owner)
    return status


def check_owner(project: Project, owner: str | None) -> None:
    """Refuse anybody else's project as if it were not there; None asks for no check.

    Raises
    ------
    ProjectNotFound
        If it is another owner's.
    """
    if owner is not None and project.owner != owner:
        raise ProjectNotFound(f"there is no project {project.id}", project_id=project.id)


def watch_status(
    ports: Ports,
    project_id: str,
    owner: str | None = None,
    *,
    poll_seconds: float = 1.0,
    timeout_seconds: float | None = None,
) -> Iterator[Status]:
    """Yield the status now and whenever a client would see a change; end with the final one.

    Events only wake it up; where they get lost it looks by itself.

    Parameters
    ----------
    ports : Ports
        Database and events.
    project_id : str
        Which one.
    owner : str, optional
        Whose it must be.
    poll_seconds : float
        How often it looks where no event comes.
    timeout_seconds : float, optional
        How long it watches.

    Raises
    ------
    ProjectNotFound
        If there is none, or it was deleted meanwhile.
    WaitTimedOut
        If the time is over.
    """
    woken = threading.Event()
    unsubscribe = ports.events.subscribe(project_id, woken.set)
    started, seen = time.monotonic(), None
    try:
        while True:
            woken.clear()
            status = get_status(ports, project_id, owner)
            if (facts := _visible(status)) != seen:
                seen = facts
                yield status
            if status.is_final:
                return
            if timeout_seconds is not None and time.monotonic() - started >= timeout_seconds:
                raise _out_of_patience(project_id, timeout_seconds)
            time.sleep(1 / MAX_UPDATES_PER_SECOND)
            woken.wait(poll_seconds)
    finally:
        unsubscribe()


def _visible(status: Status) -> tuple[object, ...]:
    """Return what a client sees; a renewed lease is nothing to tell."""
    job = status.job
    return job.state, job.attempt, job.progress, status.queue_position, status.worker_online, status.stems, status.error


def _out_of_patience(project_id: str, seconds: float) -> WaitTimedOut:
    return WaitTimedOut(
        f"project {project_id} was not done after {seconds:g} s",
        hint="it goes on; wait longer, or cancel it",
        project_id=project_id,
        limit_seconds=seconds,
    )


def list_workers(ports: Ports) -> list[Worker]:
    """Return the workers that spoke up lately."""
    with ports.database.read() as work:
        return work.workers.list_seen_after(ports.database.now() - timedelta(seconds=ONLINE_SECONDS))


def check_health(ports: Ports) -> dict[str, str]:
    """Return what each port says of itself, ``"ok"`` or what is wrong, and how many workers are online."""
    checks: dict[str, Callable[[], str | None]] = {
        "database": ports.database.check,
        "storage": ports.store.check,
        "queue": ports.queue.check,
        "workers": lambda: f"{len(list_workers(ports))} online",
    }
    return {name: _ask(check) for name, check in checks.items()}


def _ask(check: Callable[[], str | None]) -> str:
    try:
        return check() or "ok"
    except IsomixError as error:
        return str(error)
