"""The worker's parent process: takes messages, keeps children, and tells when one is lost."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import billiard
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery import signals
from celery.apps.worker import Worker
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from celery.worker import state
from celery.worker.request import Request

from isomix.queue.celery import JobHost, OnLost
from isomix.queue.celery_app import TASK, make_app, name_queue
from isomix.queue.celery_child import LEFT, STOP, Child, OutOfTime
from isomix.queue.message import is_id

logger = logging.getLogger(__name__)

_EXIT = re.compile(r"(signal|exitcode) (\d+)")


class Service:
    """A prefork Celery worker in this process, without a command line.

    Parameters
    ----------
    url : str
        Of Redis.
    make_host : callable
        Makes, in a child, what runs jobs.
    routes : tuple of str
        Which messages to take.
    on_lost : callable
        Told of jobs whose child is gone.
    concurrency : int
        Children.
    """

    def __init__(
        self, url: str, make_host: Callable[[], JobHost], routes: tuple[str, ...], on_lost: OnLost, concurrency: int
    ) -> None:
        self._app, self._child = make_app(url), Child(make_host)
        self._routes, self._concurrency = routes, concurrency
        request = type("JobRequest", (_JobRequest,), {"tell": staticmethod(on_lost)})
        self._app.task(self._child.run, name=TASK, Request=request)

    def run(self) -> int:
        """Serve until a signal ends it; return the exit code."""
        billiard.set_start_method("fork", force=True)  # macOS would begin children anew, without what they are given
        signals.setup_logging.connect(_leave_logging, weak=False)
        signals.worker_process_init.connect(self._child.open, weak=False)
        signals.worker_process_shutdown.connect(self._child.close, weak=False)
        worker = _Worker(
            app=self._app,
            hostname=f"isomix-{os.getpid()}@{socket.gethostname()}",
            queues=[name_queue(route) for route in self._routes],
            pool="prefork",
            concurrency=self._concurrency,
            quiet=True,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        with warnings.catch_warnings():
            # that jobs go on when Redis goes away is what is wanted
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            worker.start()
        return int(worker.exitcode or 0)


class _Worker(Worker):  # type: ignore[misc]  # celery is not typed
    """Celery's worker program with two signals instead of its seven: none restarts, none opens a debugger."""

    def on_before_init(self, **options: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of being root, which matters to those who accept pickles
            super().on_before_init(**options)

    def install_platform_tweaks(self, worker: Any) -> None:  # noqa: ARG002 - Celery's signature
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heed)

    def _heed(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        is_first = state.should_stop is None
        state.should_stop = 0  # Celery's loop looks at it, and ends when the children have
        with suppress(AttributeError):  # there is no pool yet, or no more
            for pid in self.pool.info["processes"]:
                with suppress(ProcessLookupError):
                    os.kill(pid, STOP if is_first else signal.SIGKILL)


class _JobRequest(Request):  # type: ignore[misc]  # celery is not typed
    """A message that was taken, as the parent sees it."""

    tell: OnLost
    _is_told = False

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if _read_exit_code(error) == LEFT:
            self.reject(requeue=True)
        else:
            self._tell(error)
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        super().on_timeout(soft, timeout)
        if not soft:
            self._tell(TimeLimitExceeded(timeout))

    def _tell(self, error: BaseException) -> None:
        is_timeout = isinstance(error, (TimeLimitExceeded, SoftTimeLimitExceeded, OutOfTime))
        job_id = self.args[0] if self.args else None
        if self._is_told or not is_id(job_id) or not (is_timeout or isinstance(error, WorkerLostError)):
            return
        self._is_told = True
        try:
            type(self).tell(str(job_id), self.worker_pid, _read_exit_code(error), is_timeout)
        except Exception:
            logger.exception("job %s was lost, and that could not be told; its lease will end", job_id)


def _read_exit_code(error: BaseException) -> int | None:
    """Return how a child ended, as shells count: 128 and the signal's number; None if it has not, or nobody knows."""
    found = _EXIT.search(str(error)) if isinstance(error, WorkerLostError) else None
    if found is None:
        return None
    return int(found[2]) + (128 if found[1] == "signal" else 0)


def _leave_logging(**_: Any) -> None:
    """Stand in for Celery's setup of logging, which is the program's affair."""
