"""A member's stream as the ensemble needs it: at its sample rate, with its channels and its stems in its order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from isomix.audio.blocks import Audio, StemStream
from isomix.audio.resample import EngineRate


class MemberStream:
    """Another stream behind a change of rate, channels and stems; a `StemStream`.

    Parameters
    ----------
    stream : StemStream
        The member's, at its beginning.
    rate : EngineRate
        From the ensemble's rate and channels to the member's, and back.
    places : sequence of int
        For each stem of the member, its index in the outcome.
    stems : int
        Stems of the outcome; silent where the member has none.
    """

    def __init__(self, stream: StemStream, rate: EngineRate, places: Sequence[int], stems: int) -> None:
        self._stream, self._rate = stream, rate
        self._places, self._stems = list(places), stems

    def push(self, block: Audio) -> Iterator[Audio]:
        """Take a ``(channels, samples)`` block; yield the ``(stems, channels, samples)`` that are settled by it."""
        yield from self._settle(self._stream.push(self._rate.push(block)))

    def finish(self) -> Iterator[Audio]:
        """Yield the rest."""
        yield from self._settle(self._stream.push(self._rate.finish()))
        yield from self._settle(self._stream.finish())
        yield from map(self._place, self._rate.restore_rest())

    def _settle(self, settled: Iterator[Audio]) -> Iterator[Audio]:
        return (self._place(self._rate.restore(stems)) for stems in settled)

    def _place(self, stems: Audio) -> Audio:
        if self._places == list(range(self._stems)):
            return stems
        out = np.zeros((self._stems, *stems.shape[1:]), np.float32)
        out[self._places] = stems
        return out
