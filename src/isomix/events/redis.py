"""Events for all processes that share a Redis, by its pub/sub. redis-py is imported when a bus is made."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from isomix.errors import QueueError, QueueUnavailable
from isomix.events.subscribers import Subscribers
from isomix.ports import EventBus

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

logger = logging.getLogger(__name__)

_PREFIX = "isomix:project:"
_TIMEOUT_SECONDS = 1.0
_SILENCE_SECONDS = 3.0
"""For so long nothing is sent after a failure: whoever publishes must not pay for each attempt."""
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0


class RedisBus(EventBus):
    """Tells subscribers in any process. Where Redis cannot be reached, those in this process hear all the same.

    All subscribers of a process share one connection and one thread, started by the first of them. After a fork, the
    child begins without subscribers.

    Parameters
    ----------
    url : str
        ``"redis://HOST:PORT/DB"`` or ``"rediss://..."``.

    Raises
    ------
    QueueUnavailable
        If redis-py is not installed.
    QueueError
        If the URL is none.
    """

    _thread: threading.Thread | None

    def __init__(self, url: str) -> None:
        self._client = _make_client(url)
        self._silent_until = 0.0
        self._begin()

    def publish(self, project_id: str) -> None:
        """Tell everybody; while Redis is away, this process."""
        self._begin_after_fork()
        if not self._send(project_id):
            self._subscribers.call(project_id)

    def subscribe(self, project_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, from the bus's thread, whenever the project changes."""
        self._begin_after_fork()
        unsubscribe = self._subscribers.add(project_id, callback)
        with self._lock:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._listen, name="isomix-events", daemon=True)
                self._thread.start()
        self._tried.wait(_TIMEOUT_SECONDS)  # so that what is published next is heard
        return unsubscribe

    def close(self) -> None:
        """End the thread and let go of connections."""
        self._begin_after_fork()
        self._ended.set()
        self._subscribers.clear()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._client.close()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._subscribers = Subscribers()
        self._tried, self._ended = threading.Event(), threading.Event()
        self._thread = None
        self._is_connected = False

    def _begin_after_fork(self) -> None:
        if self._pid != os.getpid():  # threads stay behind, and locks come along as they were
            self._begin()

    def _send(self, project_id: str) -> bool:
        from redis import RedisError

        if self._ended.is_set() or time.monotonic() < self._silent_until:
            return False
        try:
            self._client.publish(f"{_PREFIX}{project_id}", "")
        except (RedisError, OSError) as error:
            self._silent_until = time.monotonic() + _SILENCE_SECONDS
            logger.warning("events are not sent for %.0f s: %s", _SILENCE_SECONDS, error)
            return False
        return True

    def _listen(self) -> None:
        """Hear from Redis until the bus is closed; after an outage, call everybody."""
        from redis import RedisError

        pause = _SHORTEST_PAUSE_SECONDS
        while not self._ended.is_set():
            try:
                with self._client.pubsub() as channel:  # type: ignore[no-untyped-call]  # redis-py's
                    self._hear(channel)
            except (RedisError, OSError) as error:
                logger.warning("events are not heard, since Redis cannot be reached: %s", error)
                pause = _SHORTEST_PAUSE_SECONDS if self._is_connected else min(2 * pause, _LONGEST_PAUSE_SECONDS)
                self._is_connected = False
                self._tried.set()
                self._ended.wait(pause)

    def _hear(self, channel: PubSub) -> None:
        channel.psubscribe(f"{_PREFIX}*")
        while not self._ended.is_set():
            message = channel.get_message(timeout=_TIMEOUT_SECONDS / 2)
            if message is None:
                continue
            if message["type"] == "psubscribe":
                self._note_connected()
            elif message["type"] == "pmessage":
                self._subscribers.call(message["channel"].decode("utf-8", "replace").removeprefix(_PREFIX))

    def _note_connected(self) -> None:
        if self._tried.is_set():
            self._subscribers.call_all()
        self._is_connected = True
        self._tried.set()


def _make_client(url: str) -> Redis:
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise QueueUnavailable(
            f"events through Redis need a package that is not installed: {error}",
            hint='pip install "isomix[redis]"',
            queue="redis",
        ) from error
    try:
        return Redis.from_url(
            url,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),
            health_check_interval=15,
        )
    except ValueError as error:
        raise QueueError(f"this is no Redis address: {error}", queue="redis") from error
