"""The pulse of a running job: renews its lease, tells how far it is, and hears that it must stop."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Self

import attrs

from isomix.domain.job import Failure, Job, JobProgress, JobState
from isomix.domain.progress import CancelToken, Progress
from isomix.errors import JobNotFound, JobTimedOut, LeaseLost, PersistenceError
from isomix.ports import Ports
from isomix.services.jobs import change_job

logger = logging.getLogger(__name__)

Reason = Literal["cancelled", "timed_out", "lost", "stopped"]

BEAT_SECONDS = 1.0
"""How often a job tells how far it is; a shorter lease makes it oftener."""
UNHEEDED_SECONDS = 90.0
"""An engine that does not come back so long after the job's time is over hangs; a process that can be killed is killed
before that."""


class Heartbeat:
    """A thread beside the separation, for as long as the ``with`` statement.

    Parameters
    ----------
    ports : Ports
        Database and events.
    job : Job
        As it was claimed.
    lease : timedelta
        What each beat renews it to.
    stopping : threading.Event
        Set when the worker is to give its job back.

    Attributes
    ----------
    token : CancelToken
        What the separation looks at.
    reason : str or None
        Why the token was used.
    """

    def __init__(self, ports: Ports, job: Job, lease: timedelta, stopping: threading.Event) -> None:
        self.token = CancelToken()
        self.reason: Reason | None = None
        self._ports, self._job, self._lease, self._stopping = ports, job, lease, stopping
        self._progress = JobProgress()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._started = self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="isomix-heartbeat", daemon=True)

    def hear(self, event: Progress) -> None:
        """Take a progress event of the pipe, to be told with the next beat."""
        if event.phase != "done":  # a job is done when its stems are stored
            self._evolve(phase=event.phase, fraction=event.fraction, eta_seconds=event.eta_seconds)

    def tell_playable(self, samples: int) -> None:
        """Tell that the previews up to a sample are stored."""
        self._evolve(playable_samples=samples)
        self._beat()

    @property
    def playable_samples(self) -> int:
        """What `tell_playable` told last."""
        return self._progress.playable_samples

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _evolve(self, **changes: Any) -> None:
        with self._lock:
            self._progress = attrs.evolve(self._progress, **changes)

    def _run(self) -> None:
        pause = min(BEAT_SECONDS, self._lease.total_seconds() / 4)
        while not self._ended.wait(pause) and self.reason != "lost":
            overtime = time.monotonic() - self._started - self._job.timeout_seconds
            if overtime > UNHEEDED_SECONDS:
                return self._give_up()
            if overtime > 0:
                self._stop("timed_out")
            if self._stopping.is_set():
                self._stop("stopped")
            self._beat()  # also while the engine is still to notice: nobody else may take the job meanwhile
        return None

    def _give_up(self) -> None:
        """Fail the job of an engine that hangs; should it ever come back, its fence has no say any more."""
        failure = Failure.from_error(make_timeout(self._job))
        with suppress(LeaseLost, JobNotFound, PersistenceError):  # a reaper finds it, then
            change_job(self._ports.database, self._job.id, lambda job, now: job.fail(self._job.fence, now, failure))
        self._stop("lost")
        self._ports.events.publish(self._job.project_id)

    def _beat(self) -> None:
        before = time.monotonic()
        try:
            job = change_job(
                self._ports.database,
                self._job.id,
                lambda job, now: job.beat(self._job.fence, now, self._lease, self._progress),
            )
        except (LeaseLost, JobNotFound):
            self._stop("lost")
        except PersistenceError as error:
            # The database may come back before the lease is over; whoever takes the job then finds it free.
            if time.monotonic() - self._renewed > self._lease.total_seconds():
                logger.warning("job %s is let go, since its lease could not be renewed: %s", self._job.id, error)
                self._stop("lost")
        else:
            self._renewed = before
            if job.cancel_requested and job.state is JobState.RUNNING:
                self._stop("cancelled")
            self._ports.events.publish(self._job.project_id)

    def _stop(self, reason: Reason) -> None:
        self.reason = self.reason or reason
        self.token.cancel()


def make_timeout(job: Job) -> JobTimedOut:
    """Return the error of a job that took too long."""
    return JobTimedOut(
        f"the separation took longer than {job.timeout_seconds:.0f} s",
        hint="choose a faster model, a worker with a GPU, or a higher ISOMIX_TIMEOUT_SECONDS",
        job_id=job.id,
        limit_seconds=job.timeout_seconds,
    )
