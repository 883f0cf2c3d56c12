"""Runs jobs in a thread of this process, one after the other: the embedded default."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

import attrs

from isomix.ports import JobQueue, RunJob
from isomix.queue.message import check_message, make_closed_error

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 120.0
"""More than a segment takes on a slow machine: an engine that does not return by then hangs."""


@attrs.frozen(order=True)
class _Message:
    due: float  # on the monotonic clock, in seconds
    number: int  # equal moments keep the order in which they came
    job_id: str
    route: str


class BackgroundQueue(JobQueue):
    """A queue in memory with one thread that empties it. What waits when the process ends is lost.

    Parameters
    ----------
    run : callable
        Runs the job of an id.
    on_close : callable, optional
        Called first when the queue closes, to make the running job return soon.
    """

    name = "background"

    def __init__(self, run: RunJob, on_close: Callable[[], None] | None = None) -> None:
        self._run, self._on_close = run, on_close
        self._waiting: list[_Message] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def start(self) -> None:
        """Start the thread, if it does not run yet; the first `enqueue` does so too.

        Raises
        ------
        QueueUnavailable
            If the queue is closed.
        """
        with self._changed:
            self._start()

    def enqueue(self, job_id: str, *, route: str, timeout_seconds: float, delay_seconds: float = 0.0) -> None:  # noqa: ARG002 - the port's
        """Hand a job to the thread."""
        check_message(job_id, route)
        with self._changed:
            self._start()
            message = _Message(time.monotonic() + max(0.0, delay_seconds), next(self._numbers), job_id, route)
            heapq.heappush(self._waiting, message)
            self._changed.notify_all()

    def count_waiting(self, route: str) -> int:
        """Return how many jobs wait, those with a delay among them."""
        with self._changed:
            return sum(message.route == route for message in self._waiting)

    def check(self) -> None:
        """Raise `QueueUnavailable` if the queue is closed."""
        if self._is_closed:
            raise make_closed_error(self.name)

    def close(self) -> None:
        """Take no more, and wait for the running job to return, but not for ever; what waits is forgotten."""
        with self._changed:
            is_first, self._is_closed = not self._is_closed, True
            self._waiting.clear()
            self._changed.notify_all()
        if is_first and self._on_close is not None:
            self._on_close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(PATIENCE_SECONDS)
            if self._thread.is_alive():
                logger.warning("the running job does not return: its thread is left behind")
                self._thread = None

    def _start(self) -> None:
        self.check()
        if self._thread is None:
            self._thread = threading.Thread(target=self._empty, name="isomix-queue", daemon=True)
            self._thread.start()

    def _empty(self) -> None:
        while (job_id := self._take()) is not None:
            try:
                self._run(job_id)
            except Exception:  # it has promised not to raise; the jobs behind it must not pay for that
                logger.exception("running job %s raised", job_id)

    def _take(self) -> str | None:
        """Wait for the next job that is due; None when the queue is closed."""
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                if self._waiting and self._waiting[0].due <= now:
                    return heapq.heappop(self._waiting).job_id
                self._changed.wait(self._waiting[0].due - now if self._waiting else None)
            return None
