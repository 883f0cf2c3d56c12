"""Who wants to be called for which project, inside this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Subscribers:
    """Callbacks by project; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[str, list[Callable[[], None]]] = {}

    def add(self, project_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Remember a callback; return what forgets it, which may be called twice."""

        def call() -> None:  # so that one callback can be there twice, and be removed once
            callback()

        with self._lock:
            self._callbacks.setdefault(project_id, []).append(call)
        return lambda: self._remove(project_id, call)

    def call(self, project_id: str) -> None:
        """Call everybody who wants to hear of a project; what they raise is logged."""
        with self._lock:
            callbacks = list(self._callbacks.get(project_id, ()))
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("a subscriber of project %s raised", project_id)

    def call_all(self) -> None:
        """Call everybody: something may have been missed."""
        with self._lock:
            projects = list(self._callbacks)
        for project_id in projects:
            self.call(project_id)

    def clear(self) -> None:
        """Forget everybody."""
        with self._lock:
            self._callbacks.clear()

    def _remove(self, project_id: str, callback: Callable[[], None]) -> None:
        with self._lock:
            callbacks = self._callbacks.get(project_id, [])
            if callback in callbacks:
                callbacks.remove(callback)
            if not callbacks:
                self._callbacks.pop(project_id, None)
