"""Runs a job in the caller: `enqueue` returns when it has ended."""

from __future__ import annotations

import threading
from collections import deque

from isomix.ports import JobQueue, RunJob
from isomix.queue.message import check_message, make_closed_error


class InlineQueue(JobQueue):
    """A queue without waiting, for scripts and tests. Delays do not count.

    A job that enqueues (a retry) does not run inside itself: what it enqueues is run after it, by the outermost call
    of the same thread.

    Parameters
    ----------
    run : callable
        Runs the job of an id.

    Examples
    --------
    >>> queue = InlineQueue(print)
    >>> queue.enqueue("job-1", route="default", timeout_seconds=300.0)
    job-1
    """

    name = "inline"

    def __init__(self, run: RunJob) -> None:
        self._run = run
        self._local = threading.local()
        self._is_closed = False

    def enqueue(self, job_id: str, *, route: str, timeout_seconds: float, delay_seconds: float = 0.0) -> None:  # noqa: ARG002 - the port's
        """Run a job, and those that it enqueues meanwhile."""
        check_message(job_id, route)
        if self._is_closed:
            raise make_closed_error(self.name)
        waiting: deque[str] | None = getattr(self._local, "waiting", None)
        if waiting is not None:
            waiting.append(job_id)
            return
        self._local.waiting = waiting = deque([job_id])
        try:
            while waiting:
                self._run(waiting.popleft())
        finally:
            del self._local.waiting

    def count_waiting(self, route: str) -> int:  # noqa: ARG002 - the port's
        """Return 0: nothing waits."""
        return 0

    def check(self) -> None:
        """Return: the caller is there."""

    def close(self) -> None:
        """Take no more."""
        self._is_closed = True
