"""The queue inside another process, as an operator's tool sees it."""

from __future__ import annotations

import sys

from isomix.ports import JobQueue


class AbsentQueue(JobQueue):
    """Takes nothing: the process that works on this database finds by itself what waits there."""

    name = "inside the application"

    def enqueue(self, job_id: str, *, route: str, timeout_seconds: float, delay_seconds: float = 0.0) -> None:
        """Do nothing."""

    def count_waiting(self, route: str) -> int:  # noqa: ARG002 - nothing is known of any route
        """Return more than anybody could miss: whether a message is lost, the other process knows."""
        return sys.maxsize

    def check(self) -> None:
        """Do nothing."""
