"""Mean and standard deviation of a whole recording, in one pass and constant memory."""

from __future__ import annotations

import numpy as np

from isomix.audio.blocks import Audio

_EPSILON = 1e-8
"""Added to the standard deviation, so that silence divides (demucs 4.1, ``Separator.separate_tensor``)."""


class TrackStatistics:
    """Normalises a recording as Demucs does: by the mean and standard deviation of its mean channel.

    Before any `add`, it normalises nothing: audio passes through untouched.

    Notes
    -----
    Blocks are merged by Chan, Golub and LeVeque's pairwise update (1979) in float64, which does not lose digits over
    hours of audio as a sum of squares would.

    Examples
    --------
    >>> statistics = TrackStatistics()
    >>> statistics.add(np.array([[1.0, 3.0], [1.0, 3.0]], np.float32))
    >>> statistics.mean, round(statistics.deviation, 4)
    (2.0, 1.4142)
    """

    def __init__(self) -> None:
        self._samples = 0
        self._squares = 0.0
        self.mean = 0.0

    @property
    def deviation(self) -> float:
        """Standard deviation, of a sample as in torch's ``std`` (divided by n - 1)."""
        return float(np.sqrt(self._squares / max(self._samples - 1, 1)))

    def add(self, block: Audio) -> None:
        """Take a ``(channels, samples)`` block into account."""
        count = block.shape[-1]
        if not count:
            return
        middle = block.mean(axis=0, dtype=np.float64)
        mean = float(middle.mean())
        total = self._samples + count
        self._squares += float(((middle - mean) ** 2).sum()) + (mean - self.mean) ** 2 * self._samples * count / total
        self.mean += (mean - self.mean) * count / total
        self._samples = total

    def normalise(self, audio: Audio) -> Audio:
        """Return ``(audio - mean) / deviation``."""
        if not self._samples:
            return audio
        return (audio - np.float32(self.mean)) / np.float32(self.deviation + _EPSILON)

    def restore(self, audio: Audio) -> Audio:
        """Undo `normalise`."""
        if not self._samples:
            return audio
        return audio * np.float32(self.deviation + _EPSILON) + np.float32(self.mean)
