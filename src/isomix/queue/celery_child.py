"""A worker's child process: it has what runs jobs, and runs them one after the other."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from billiard.exceptions import SoftTimeLimitExceeded
from celery.exceptions import Reject

from isomix.queue.celery import JobHost
from isomix.queue.message import is_id

logger = logging.getLogger(__name__)

STOP = signal.SIGUSR2
"""What the parent sends when the whole worker is to end."""
LEFT = os.EX_TEMPFAIL
"""How a child ends that was told to, alone: what it was given meanwhile, it has not begun."""
_SIGNALS = {STOP, signal.SIGTERM}
_RETRY_SECONDS = 2.0


class OutOfTime(BaseException):
    """Interrupts a job that has overrun its deadline by far; not to be caught as one of its own failures."""


class Child:
    """What happens in a child process. It is made in the parent, and opened after the fork.

    Signals are not handled between any two steps of a running job, where locks may be held, but awaited by a thread.

    Parameters
    ----------
    make_host : callable
        Makes what runs jobs.
    """

    def __init__(self, make_host: Callable[[], JobHost]) -> None:
        self._make_host = make_host
        self._host: JobHost | None = None
        self._is_stopping = False
        self._idle = threading.Event()
        self._closing = threading.Lock()

    def open(self, **_: Any) -> None:
        """Make the host, and try again until that succeeds or the worker is to end."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._idle.set()
        threading.Thread(target=self._heed_signals, name="isomix-signals", daemon=True).start()
        while self._host is None and not self._is_stopping:
            try:
                host = self._make_host()
                host.start()
            except Exception:
                logger.exception("this worker process cannot begin; it tries again")
                time.sleep(_RETRY_SECONDS)
            else:
                self._host = host

    def run(self, job_id: object) -> None:
        """Run a job. This is the task.

        Raises
        ------
        celery.exceptions.Reject
            To drop what is not an id, or to put back what comes when the process is about to end.
        SoftTimeLimitExceeded
            If the job was interrupted because it took too long.
        """
        if not is_id(job_id):
            logger.error("a message is dropped, since it is no job's id: %.100r", job_id)
            raise Reject("not an id", requeue=False)
        if self._host is None or self._is_stopping:
            time.sleep(_RETRY_SECONDS / 4)  # it may come to this process again, so long as the parent takes messages
            raise Reject("about to end", requeue=True)
        signal.signal(signal.SIGUSR1, _interrupt)  # Celery's own would raise what passes for a failure of the job
        self._idle.clear()
        try:
            self._host.run(str(job_id))
        except OutOfTime:
            raise SoftTimeLimitExceeded from None
        finally:
            self._idle.set()

    def close(self, **_: Any) -> None:
        """Let go of the host, once."""
        with self._closing:
            host, self._host = self._host, None
            if host is not None:
                host.close()

    def _heed_signals(self) -> None:
        while True:
            number = signal.sigwait(_SIGNALS)
            self._is_stopping = True
            if (host := self._host) is not None:
                host.stop()
            if number == signal.SIGTERM:
                self._leave()

    def _leave(self) -> None:
        """End this process, as soon as its job has: somebody has told it, or its whole process group, to."""
        self._idle.wait()
        time.sleep(_RETRY_SECONDS / 2)  # the parent hears meanwhile that the job has ended
        self.close()
        os._exit(LEFT)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a handler's signature
    raise OutOfTime
