"""The outline of a stem, for drawing: smallest and largest value of every short stretch."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isomix.audio.blocks import Audio

PEAKS_PER_SECOND = 40
"""Enough for one pair per pixel where a screen shows half a minute."""


class PeakMeter:
    """Collects the outline of a stem while it streams past.

    The outline is the envelope of all channels: what one of them does is seen, also where their mean would hide it.
    Besides the result, 320 bytes a second of audio, no memory is needed.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    samples_per_peak : int, optional
        Samples that one pair stands for; for about 40 pairs a second if not given.

    Examples
    --------
    >>> meter = PeakMeter(8000, samples_per_peak=2)
    >>> meter.add(np.array([[0.5, -0.25, 0.125]], np.float32))
    >>> meter.to_dict()["data"]
    [-32, 64, 16, 16]
    """

    def __init__(self, sample_rate: int, *, samples_per_peak: int | None = None) -> None:
        self.sample_rate = sample_rate
        self.samples_per_peak = samples_per_peak or max(1, round(sample_rate / PEAKS_PER_SECOND))
        self._pairs: list[NDArray[np.float32]] = []
        self._rest = np.empty((2, 0), np.float32)

    def add(self, block: Audio) -> None:
        """Take the next ``(channels, samples)`` block."""
        envelope = np.concatenate([self._rest, np.stack([block.min(axis=0), block.max(axis=0)])], axis=1)
        whole = envelope.shape[1] // self.samples_per_peak * self.samples_per_peak
        self._rest = envelope[:, whole:].copy()  # a view would keep the block
        if whole:
            self._pairs.append(_outline(envelope[:, :whole].reshape(2, -1, self.samples_per_peak)))

    def to_dict(self, gain_db: float = 0.0) -> dict[str, Any]:
        """Return the outline as version 2 of the JSON of BBC audiowaveform, which players know.

        Parameters
        ----------
        gain_db : float
            Gain that was applied to the stem after it was measured.
        """
        rest = [_outline(self._rest[:, None])] if self._rest.size else []
        pairs = np.concatenate([np.empty((0, 2), np.float32), *self._pairs, *rest])
        levels = np.clip(np.rint(pairs * np.float32(128 * 10.0 ** (gain_db / 20))), -128, 127).astype(np.int8)
        return {
            "version": 2,
            "channels": 1,
            "sample_rate": self.sample_rate,
            "samples_per_pixel": self.samples_per_peak,
            "bits": 8,
            "length": len(levels),
            "data": levels.ravel().tolist(),
        }

    def to_json(self, gain_db: float = 0.0) -> bytes:
        """Return `to_dict` as the bytes of a JSON file."""
        return json.dumps(self.to_dict(gain_db), separators=(",", ":")).encode()


def _outline(envelope: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reduce ``(2, pairs, samples)`` to ``(pairs, 2)``."""
    low, high = envelope
    return np.stack([low.min(axis=1), high.max(axis=1)], axis=1)
