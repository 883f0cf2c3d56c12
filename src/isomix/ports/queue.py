"""The seams that wake somebody up: a worker for a job, a watcher for a change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

RunJob = Callable[[str], None]
"""Runs the job of an id to its end; never raises. What it returns from is done, failed, given back or not its own."""


class JobQueue(ABC):
    """Wakes somebody up who runs a job. A message is a job's id and nothing else.

    A message may be lost, come twice or come late: claims and the reaper make that harmless.
    """

    name: str
    """What it is, for people."""

    @abstractmethod
    def enqueue(self, job_id: str, *, route: str, timeout_seconds: float, delay_seconds: float = 0.0) -> None:
        """Hand over a job.

        Parameters
        ----------
        job_id : str
            The message.
        route : str
            Which workers may take it.
        timeout_seconds : float
            Wall time that the job gives itself; an adapter that can kill does so some time after it.
        delay_seconds : float
            How long to wait before it is taken.

        Raises
        ------
        QueueUnavailable
            If it cannot be reached.
        """

    @abstractmethod
    def count_waiting(self, route: str) -> int | None:
        """Return how many messages wait on a route; None if it cannot be told.

        Raises
        ------
        QueueUnavailable
            If it cannot be reached.
        """

    @abstractmethod
    def check(self) -> None:
        """Reach it, or raise.

        Raises
        ------
        QueueUnavailable
            If it cannot be reached.
        """

    def close(self) -> None:  # noqa: B027 - most queues have nothing to let go of
        """Stop what runs inside this process, politely; closing twice is harmless."""


class EventBus(ABC):
    """Tells watchers that a project has changed; what has changed, the database says. A call may be lost."""

    @abstractmethod
    def publish(self, project_id: str) -> None:
        """Tell everybody; never raises and never waits long."""

    @abstractmethod
    def subscribe(self, project_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, from any thread, whenever the project changes; return what ends that.

        The callback must be quick and must not raise.
        """

    def close(self) -> None:  # noqa: B027 - most buses have nothing to let go of
        """Let go of connections; closing twice is harmless."""
