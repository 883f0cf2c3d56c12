"""A worker process: takes jobs from Redis and runs them, with a studio of its own in each child process."""

from __future__ import annotations

import logging

import attrs

from isomix.composition import compose, find_limits
from isomix.errors import InvalidOptions
from isomix.queue import serve
from isomix.services.recovering import report_loss
from isomix.services.worker import JobWorker, is_worker_of
from isomix.settings import StudioSettings


class WorkerHost:
    """What runs jobs in a child process; made after the fork, so that it shares no connection with its parent.

    Parameters
    ----------
    settings : StudioSettings
        Addresses and leases.
    routes : tuple of str
        The routes it serves.
    """

    def __init__(self, settings: StudioSettings, routes: tuple[str, ...]) -> None:
        limits_of = find_limits(settings.limits)
        self._composition = compose(settings, limits_of)
        self._worker = JobWorker(self._composition.ports, settings, limits_of, routes)

    def start(self) -> None:
        """Say that it is there, and see to what others left lying."""
        self._worker.start()

    def run(self, job_id: str) -> None:
        """Run a job to its end."""
        self._worker.run(job_id)

    def stop(self) -> None:
        """Give the running job back, within a segment."""
        self._worker.stop()

    def close(self) -> None:
        """Say good-bye."""
        self._worker.close()
        self._composition.close()


def serve_jobs(settings: StudioSettings, *, routes: tuple[str, ...], processes: int = 1) -> int:
    """Run jobs until a signal ends it. This is a process's entry: it configures logging where nobody has.

    Parameters
    ----------
    settings : StudioSettings
        Where jobs come from and stems go to; its queue is a Redis.
    routes : tuple of str
        Which jobs to take.
    processes : int
        Jobs at once, each in a process with engines of its own.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    InvalidOptions
        If the queue lives inside another process.
    QueueUnavailable
        If a package is missing.
    """
    if "://" not in settings.queue:
        raise InvalidOptions(
            f"the {settings.queue} queue lives inside the application; a worker serves one on Redis",
            hint="set ISOMIX_QUEUE=redis://HOST:PORT/DB, for the application too",
            option="queue",
            value=settings.queue,
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    upgraded = attrs.evolve(settings, auto_upgrade=False)

    def on_lost(job_id: str, pid: int | None, exit_code: int | None, timed_out: bool) -> None:
        composition = compose(upgraded, find_limits(settings.limits), works=False)
        try:
            report_loss(
                composition.ports,
                settings,
                job_id,
                is_worker=lambda worker: pid is not None and is_worker_of(worker, pid),
                exit_code=exit_code,
                timed_out=timed_out,
            )
        finally:
            composition.close()

    return serve(
        settings.queue,
        lambda: WorkerHost(settings, routes),
        routes=routes,
        on_lost=on_lost,
        concurrency=processes,
    )
