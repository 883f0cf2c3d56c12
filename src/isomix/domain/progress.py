"""One progress event and one cancel token, the same for every caller and every engine."""

from __future__ import annotations

import threading
from typing import Literal

import attrs

from isomix.errors import SeparationCancelled

Phase = Literal["download", "load", "analyse", "separate", "write", "done"]


@attrs.frozen(kw_only=True)
class Progress:
    """How far the work is.

    Parameters
    ----------
    phase : {"download", "load", "analyse", "separate", "write", "done"}
        What is being done now.
    fraction : float
        Share of the whole work that is done, 0 to 1; it never falls.
    done_seconds, total_seconds : float
        Audio separated so far and the recording's duration, in seconds of audio. The total is an estimate until the
        end where the file's header does not tell.
    eta_seconds : float or None
        Expected remaining wall time in seconds; None while it is unknown.
    """

    phase: Phase
    fraction: float = 0.0
    done_seconds: float = 0.0
    total_seconds: float = 0.0
    eta_seconds: float | None = None


class CancelToken:
    """Stops a separation from any thread, within one segment.

    Examples
    --------
    >>> token = CancelToken()
    >>> token.cancel()
    >>> token.cancelled
    True
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop; asking twice is harmless."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise if cancelled.

        Raises
        ------
        SeparationCancelled
            If `cancel` was called.
        """
        if self.cancelled:
            raise SeparationCancelled("the separation was cancelled")
