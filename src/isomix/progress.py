"""Progress as callers hear it: one monotone fraction over all phases, and a bar for those who want one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeAlias

from isomix.domain.progress import Phase, Progress

Listener: TypeAlias = Callable[[Progress], None]
ProgressLike: TypeAlias = Listener | bool | None
"""None or False for silence, True for a bar, or a callable."""

_SHARES: dict[Phase, tuple[float, float]] = {
    "download": (0.0, 0.0),
    "load": (0.0, 0.0),
    "analyse": (0.0, 0.02),
    "separate": (0.02, 0.98),
    "write": (0.98, 1.0),
    "done": (1.0, 1.0),
}
"""Where each phase lies in the whole. Reading a recording once costs little against separating it."""


class Bar:
    """A tqdm bar in seconds of audio; a `Listener`, for a terminal and a notebook alike."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, event: Progress) -> None:
        """Show an event; the last one closes the bar."""
        if self._bar is None:
            from tqdm.auto import tqdm  # in a notebook without widgets its import warns: only where a bar is wanted

            self._bar = tqdm(total=100.0, bar_format="{desc:<9} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}")
        self._bar.set_description_str(event.phase, refresh=False)
        self._bar.update(100.0 * event.fraction - self._bar.n)
        if event.phase == "done":
            self.close()

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


@contextmanager
def listening(progress: ProgressLike) -> Iterator[Listener]:
    """Give what to call for what a caller gave; a bar that is made for it is closed in the end, whatever happens."""
    if callable(progress):
        yield progress
    elif progress and sys.stderr is not None:  # a program without a console has none
        with closing(Bar()) as bar:
            yield bar
    else:
        yield lambda _: None


class ProgressMeter:
    """Turns seconds of audio done in each phase into events whose fraction never falls.

    Parameters
    ----------
    listener : callable
        Hears the events.
    total_seconds : float or None
        Duration by the header; None where nothing tells.
    """

    def __init__(self, listener: Listener, total_seconds: float | None) -> None:
        self._listener = listener
        self._total_seconds = total_seconds or 0.0
        self._done_seconds = 0.0
        self._fraction = 0.0
        self._started = time.monotonic()

    def report(self, phase: Phase, done_seconds: float) -> None:
        """Tell how much audio a phase has dealt with.

        Parameters
        ----------
        phase : str
            The phase.
        done_seconds : float
            Seconds of audio since the recording's start.
        """
        if phase == "separate":
            self._done_seconds = max(self._done_seconds, done_seconds)
        self._total_seconds = max(self._total_seconds, self._done_seconds)
        first, last = _SHARES[phase]
        share = min(done_seconds / self._total_seconds, 1.0) if self._total_seconds else 0.0
        self._fraction = max(self._fraction, first + (last - first) * share)
        self._listener(
            Progress(
                phase=phase,
                fraction=self._fraction,
                done_seconds=self._done_seconds,
                total_seconds=self._total_seconds,
                eta_seconds=self._eta_seconds(),
            )
        )

    def finish(self, total_seconds: float) -> None:
        """Tell that everything is done, and how long the recording was in truth."""
        self._total_seconds = self._done_seconds = total_seconds
        self.report("done", total_seconds)

    def _eta_seconds(self) -> float | None:
        if self._fraction <= _SHARES["separate"][0]:
            return None
        return (time.monotonic() - self._started) * (1 - self._fraction) / self._fraction
