"""The Celery application: one task, whose one argument is a job's id. It is nobody's current or default app."""

from __future__ import annotations

from typing import Any

from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TASK = "isomix.run_job"

_VISIBILITY_SECONDS = 24 * 3600
"""After so long, what a worker has taken and not acknowledged lies in its queue again. No job may last longer. It can
be long, because it is not what saves jobs of dead workers: leases are."""

_TIMEOUTS = ("socket_connect_timeout", "socket_timeout")

_PRIORITY_STEPS = (3, 6, 9)
"""Kombu's lists for priorities other than 0, which are read by workers and written by nobody here."""


class _App(Celery):  # type: ignore[misc]  # celery is not typed
    backend_cls = "disabled://"  # as a setting, CELERY_RESULT_BACKEND in the environment would go before it


def make_app(url: str, *, timeout_seconds: float | None = None) -> Any:
    """Return a Celery app on a Redis.

    Parameters
    ----------
    url : str
        Of Redis.
    timeout_seconds : float, optional
        How long an answer may take; None to wait, as a worker does.
    """
    app = _App("isomix", set_as_current=False, fixups=())
    timeouts = {} if timeout_seconds is None else dict.fromkeys(_TIMEOUTS, timeout_seconds)
    app.conf.update(
        {**_BROKER, **_MESSAGES, **_WORKER},
        # CELERY_BROKER_URL in the environment, meant for another app, would go before broker_url
        broker_url=url,
        broker_read_url=url,
        broker_write_url=url,
        broker_transport_options={"visibility_timeout": _VISIBILITY_SECONDS, **timeouts},
    )
    return app


def make_client(url: str, timeout_seconds: float) -> Redis:
    """Return a Redis client that tries a broken connection once more, and does not wait long."""
    return Redis.from_url(
        url,
        socket_connect_timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 1),
    )


def name_queue(route: str) -> str:
    """Return the name of a route's queue, which is that of its list in Redis."""
    return f"isomix.{route}"


def list_keys(route: str) -> list[str]:
    """Return the names of all lists in which messages of a route can lie."""
    name = name_queue(route)
    return [name, *(f"{name}\x06\x16{step}" for step in _PRIORITY_STEPS)]


_BROKER = {
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,  # for ever
    # once more at once, for a connection that has gone stale; then the caller is told
    "task_publish_retry": True,
    "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0},
}
_MESSAGES = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "result_serializer": "json",
    "task_ignore_result": True,  # the database tells how a job ended
}
_WORKER = {
    "task_acks_late": True,
    # A message whose job has ended is done with, however it ended. Who has lost a child is told and sends the job
    # again, if its attempts allow; a message that came back by itself would kill child after child.
    "task_acks_on_failure_or_timeout": True,
    "task_reject_on_worker_lost": False,
    "worker_prefetch_multiplier": 1,
    # jobs do not need Redis while they run: they go on when it goes away
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # It keeps a connection that is read from even while all children are busy, so that the worker notices when Redis
    # goes away. Without it, an acknowledgement that fails would count as one message in hand for ever.
    "worker_enable_remote_control": True,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_proc_alive_timeout": 120.0,  # a child may have to wait for its database
}
