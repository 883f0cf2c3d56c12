"""Events inside one process."""

from __future__ import annotations

from collections.abc import Callable

from isomix.events.subscribers import Subscribers
from isomix.ports import EventBus


class LocalBus(EventBus):
    """Calls subscribers from the thread that publishes.

    Examples
    --------
    >>> bus = LocalBus()
    >>> unsubscribe = bus.subscribe("project-1", lambda: print("changed"))
    >>> bus.publish("project-1")
    changed
    """

    def __init__(self) -> None:
        self._subscribers = Subscribers()

    def publish(self, project_id: str) -> None:
        """Call the project's subscribers."""
        self._subscribers.call(project_id)

    def subscribe(self, project_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back whenever the project changes."""
        return self._subscribers.add(project_id, callback)

    def close(self) -> None:
        """Forget the subscribers."""
        self._subscribers.clear()
