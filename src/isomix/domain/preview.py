"""Preview segments: short pieces of every stem that can be played while the rest is still being made.

The first are shorter, so that sound starts after little compute and few bytes; from then on all are of one length.
Their bounds follow from the sample rate alone, so that nobody has to store a list of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

FIRST_SECONDS = (1, 2, 3)
LATER_SECONDS = 6
HEADROOM_DB = 6.0
"""Segments are stored this much lower and played this much louder: a stem may go beyond full scale, and the one gain
that prevents it in files is not known before the end."""


def segment_start(index: int, sample_rate: int) -> int:
    """Return the first sample of a segment.

    Parameters
    ----------
    index : int
        Of the segment, from 0.
    sample_rate : int
        In Hz.

    Examples
    --------
    >>> [segment_start(index, 1) for index in range(6)]
    [0, 1, 3, 6, 12, 18]
    """
    later = max(0, index - len(FIRST_SECONDS))
    return (sum(FIRST_SECONDS[:index]) + later * LATER_SECONDS) * sample_rate


@attrs.frozen
class PreviewSegment:
    """A stretch of all stems that is stored.

    Parameters
    ----------
    index : int
        From 0.
    start, samples : int
        Its place in the recording.
    """

    index: int
    start: int
    samples: int


@attrs.frozen(kw_only=True)
class Preview:
    """What can be played now.

    Parameters
    ----------
    attempt : str
        The attempt that they belong to: when it changes, a player starts anew.
    stems : tuple of str
        Names, in the order of their positions.
    sample_rate : int
        In Hz.
    playable_samples : int
        Samples from the start that are stored.
    complete : bool
        Whether that is the whole recording.
    gain_db : float
        What a player adds to undo the headroom of the segments.
    """

    attempt: str
    stems: tuple[str, ...]
    sample_rate: int
    playable_samples: int
    complete: bool
    gain_db: float = HEADROOM_DB

    def segments(self) -> Iterator[PreviewSegment]:
        """Yield the segments that are stored, in order."""
        index = 0
        while (start := segment_start(index, self.sample_rate)) < self.playable_samples:
            stop = min(segment_start(index + 1, self.sample_rate), self.playable_samples)
            yield PreviewSegment(index, start, stop - start)
            index += 1

    def to_dict(self) -> Mapping[str, Any]:
        """Return it in values that JSON can hold."""
        return {
            "attempt": self.attempt,
            "stems": list(self.stems),
            "sample_rate": self.sample_rate,
            "playable_samples": self.playable_samples,
            "playable_seconds": self.playable_samples / self.sample_rate,
            "complete": self.complete,
            "gain_db": self.gain_db,
            "segments": [attrs.asdict(segment) for segment in self.segments()],
        }
