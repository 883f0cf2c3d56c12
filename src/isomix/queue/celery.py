"""Celery on Redis: jobs run on any machine where ``isomix worker`` runs. This is the side that sends.

Celery, Kombu and redis-py are imported when a queue is made, not with this module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from isomix.errors import IsomixError, QueueError, QueueUnavailable
from isomix.ports import JobQueue
from isomix.queue.message import check_message, check_route, make_closed_error

if TYPE_CHECKING:
    from redis import Redis

OnLost = Callable[[str, int | None, int | None, bool], None]
"""Told in a worker's parent process of a job whose child is gone: job id, the child's process id, its exit code (137
after SIGKILL; None where it lives on), and whether the job was ended because it took too long."""

GRACE_SECONDS = 30.0
_TIMEOUT_SECONDS = 1.0


class JobHost(Protocol):
    """What a child process of a worker runs jobs with."""

    def start(self) -> None:
        """Begin, once, after it was made."""

    def run(self, job_id: str) -> None:
        """Run a job to its end."""

    def stop(self) -> None:
        """Make the running job return soon; called from another thread, perhaps more than once."""

    def close(self) -> None:
        """Let go of everything; no job is running."""


class CeleryQueue(JobQueue):
    """The sending side. Safe in threads and across forks; nothing is connected before it is used.

    Parameters
    ----------
    url : str
        ``"redis://HOST:PORT/DB"`` or ``"rediss://..."``.
    grace_seconds : float
        A job that is still running so long after its own deadline is interrupted, and after twice as long its process
        is killed: the backstop where native code hangs.

    Raises
    ------
    QueueUnavailable
        If Celery or redis-py is not installed.
    QueueError
        If the URL is none.
    """

    def __init__(self, url: str, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self.name, self._grace_seconds = hide_password(url), grace_seconds
        self._is_closed = False
        with as_queue_error(self.name):
            from isomix.queue.celery_app import make_app, make_client

            self._app: Any = make_app(url, timeout_seconds=_TIMEOUT_SECONDS)
            self._client: Redis = make_client(url, _TIMEOUT_SECONDS)

    def enqueue(self, job_id: str, *, route: str, timeout_seconds: float, delay_seconds: float = 0.0) -> None:
        """Send a job's id to the workers of a route."""
        from isomix.queue.celery_app import TASK, name_queue

        check_message(job_id, route)
        self._check_open()
        soft_seconds = timeout_seconds + self._grace_seconds
        with as_queue_error(self.name):
            self._app.send_task(
                TASK,
                (job_id,),
                queue=name_queue(route),
                countdown=delay_seconds if delay_seconds > 0 else None,
                soft_time_limit=soft_seconds,
                time_limit=soft_seconds + self._grace_seconds,
            )

    def count_waiting(self, route: str) -> int:
        """Return how many messages lie in Redis; those that a worker holds back for their delay are not counted."""
        from isomix.queue.celery_app import list_keys

        self._check_open()
        with as_queue_error(self.name), self._client.pipeline(transaction=False) as pipeline:
            for key in list_keys(route):
                pipeline.llen(key)
            return sum(pipeline.execute())

    def check(self) -> None:
        """Ping Redis."""
        self._check_open()
        with as_queue_error(self.name):
            self._client.ping()

    def close(self) -> None:
        """Let go of connections."""
        self._is_closed = True
        self._app.close()
        self._client.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise make_closed_error(self.name)


def serve(
    url: str,
    make_host: Callable[[], JobHost],
    *,
    routes: Sequence[str],
    on_lost: OnLost,
    concurrency: int = 1,
) -> int:
    """Take jobs from routes until a signal ends it; the main thread of this process is the worker's parent.

    The first SIGTERM or SIGINT stops politely: running jobs are told, by `JobHost.stop`, and waited for. A second one
    kills them. Logging is left as it is.

    Parameters
    ----------
    url : str
        As for `CeleryQueue`.
    make_host : callable
        Called in each child process after the fork; tried again until it succeeds.
    routes : sequence of str
        Which messages to take.
    on_lost : callable
        See `OnLost`. The message is dropped: sending it again is up to this.
    concurrency : int
        Child processes, each with one job at a time.

    Returns
    -------
    int
        Exit code for the process.

    Raises
    ------
    QueueUnavailable
        If Celery or redis-py is not installed. That Redis cannot be reached is no error: it is waited for.
    QueueError
        If a route or the URL is none, or if this is not the main thread.
    """
    for route in routes:
        check_route(route)
    if threading.current_thread() is not threading.main_thread():
        raise QueueError("a worker needs the main thread: it handles signals")
    with as_queue_error(hide_password(url)):
        from isomix.queue.celery_worker import Service
    return Service(url, make_host, tuple(routes), on_lost, concurrency).run()


@contextmanager
def as_queue_error(name: str) -> Iterator[None]:
    """Translate whatever Celery, Kombu, redis-py or the network raises.

    Parameters
    ----------
    name : str
        The queue, for people.

    Raises
    ------
    QueueUnavailable
        If Redis cannot be reached, or a package is missing.
    QueueError
        For anything else.
    """
    try:
        yield
    except (IsomixError, MemoryError):
        raise
    except ImportError as error:
        raise QueueUnavailable(
            f"{name} needs a package that is not installed: {error}", hint='pip install "isomix[redis]"', queue=name
        ) from error
    except Exception as error:  # each of the three libraries has exceptions of its own, and wraps the others'
        reason = str(error) or type(error).__name__
        if _is_outage(error):
            raise QueueUnavailable(
                f"{name} cannot be reached: {reason}", hint="does Redis run there?", queue=name
            ) from error
        raise QueueError(f"{name} refuses: {reason}", queue=name) from error


def hide_password(url: str) -> str:
    """Return an address as it may be shown.

    Examples
    --------
    >>> hide_password("redis://user:secret@host:6379/0")
    'redis://host:6379/0'
    """
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _is_outage(error: Exception) -> bool:
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    return isinstance(error, (OSError, RedisError, OperationalError))
