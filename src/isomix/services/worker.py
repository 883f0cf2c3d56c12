"""A worker: runs jobs, says that it is there, and sees to those that others left lying."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from contextlib import suppress
from datetime import timedelta

from isomix.domain.limits import LimitsOf
from isomix.domain.worker import Worker
from isomix.errors import IsomixError, PersistenceError
from isomix.ports import Ports
from isomix.services.recovering import recover
from isomix.services.running import JobRunner
from isomix.settings import StudioSettings

logger = logging.getLogger(__name__)

_ROUND_SECONDS = 5.0
"""How often a worker says that it is there and looks for lost jobs; a shorter lease makes it oftener."""
ONLINE_SECONDS = 3 * _ROUND_SECONDS
"""A worker that was silent for so long counts as gone."""


class JobWorker:
    """What a worker process, or a studio with a queue of its own, runs jobs with.

    Parameters
    ----------
    ports : Ports
        What the studio is made of.
    settings : StudioSettings
        Leases.
    limits_of : callable
        Tells an owner's limits.
    routes : tuple of str
        The routes it serves; None for all, as a queue inside the process does.
    """

    def __init__(
        self, ports: Ports, settings: StudioSettings, limits_of: LimitsOf, routes: tuple[str, ...] | None = None
    ) -> None:
        self.id = make_worker_id(os.getpid())
        self.runner = JobRunner(ports, settings, limits_of, self.id)
        self._ports, self._settings = ports, settings
        self._routes = routes or (settings.list_routes())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_around, name="isomix-caretaker", daemon=True)

    def start(self) -> None:
        """Say that it is there, and look for jobs that lost their worker or their message, now and regularly."""
        self._thread.start()

    def run(self, job_id: str) -> None:
        """Run a job to its end; never raises."""
        self.runner.run(job_id)

    def stop(self) -> None:
        """Give running jobs back, within a segment, and take no more."""
        self.runner.stop()

    def close(self) -> None:
        """Say good-bye and let go of the engines; running jobs must have ended."""
        self.stop()
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self.runner.close()
        with suppress(PersistenceError), self._ports.database.begin() as work:
            work.workers.delete(self.id)
            work.commit()

    def _look_around(self) -> None:
        pause, patience = min(_ROUND_SECONDS, self._settings.lease_seconds / 3), 0.0
        while True:
            try:
                self._say_here()
                recover(self._ports, self._settings, patience_seconds=patience)
            except IsomixError as error:
                logger.warning("a worker's round is left out: %s", error)
            except Exception:
                logger.exception("a worker's round failed")
            if self._ended.wait(pause):
                return
            patience = self._settings.lease_seconds

    def _say_here(self) -> None:
        now = self._ports.database.now()
        with self._ports.database.begin() as work:
            work.workers.beat(Worker(id=self.id, routes=self._routes, seen_at=now, job_id=self.runner.job_id))
            work.workers.delete_seen_before(now - timedelta(seconds=10 * ONLINE_SECONDS))
            work.commit()


def make_worker_id(pid: int) -> str:
    """Return an id that nobody else has, and that tells the process."""
    return f"{_prefix(pid)}{secrets.token_hex(4)}"


def is_worker_of(worker_id: str, pid: int) -> bool:
    """Tell whether a worker's id is that of a process of this host."""
    return worker_id.startswith(_prefix(pid))


def _prefix(pid: int) -> str:
    return f"{socket.gethostname()}/{pid}/"
