"""Ratios of energies in decibels, summed up block by block."""

from __future__ import annotations

import math

import numpy as np

from isomix.audio.blocks import Audio

LIMIT_DB = 120.0
"""No figure leaves -120 to 120 dB: beyond, rounding is measured. An exact copy has 120 dB."""


def ratio_db(wanted: float, unwanted: float) -> float | None:
    """Return the ratio of two energies in dB, within `LIMIT_DB`; None for 0 / 0.

    Examples
    --------
    >>> ratio_db(1.0, 0.01), ratio_db(1.0, 0.0), ratio_db(0.0, 0.0)
    (20.0, 120.0, None)
    """
    if wanted <= 0 and unwanted <= 0:
        return None
    if wanted <= 0 or unwanted <= 0:
        return math.copysign(LIMIT_DB, wanted - unwanted)
    return limit_db(10 * (math.log10(wanted) - math.log10(unwanted)))


def limit_db(value: float) -> float:
    """Return a figure within -`LIMIT_DB` and `LIMIT_DB`."""
    return min(max(value, -LIMIT_DB), LIMIT_DB)


class DistortionMeter:
    """Compares an estimate with its reference, over all samples and channels.

    Examples
    --------
    >>> meter = DistortionMeter()
    >>> meter.add(np.array([[1, -1, 1, -1]], np.float32), np.array([[0.5, -0.5, 0.5, -0.5]], np.float32))
    >>> round(meter.sdr_db, 2), meter.si_sdr_db
    (6.02, 120.0)
    """

    def __init__(self) -> None:
        self._reference = self._estimate = self._product = self._error = 0.0

    def add(self, reference: Audio, estimate: Audio) -> None:
        """Take the next ``(channels, samples)`` blocks into account."""
        # In float64: an hour of float32 products, summed in float32, loses the digits that matter.
        wanted, given = reference.astype(np.float64), estimate.astype(np.float64)
        self._reference += float(np.vdot(wanted, wanted))
        self._estimate += float(np.vdot(given, given))
        self._product += float(np.vdot(wanted, given))
        difference = wanted - given
        self._error += float(np.vdot(difference, difference))

    @property
    def sdr_db(self) -> float | None:
        """``10 log10(|reference|^2 / |reference - estimate|^2)``; None for a silent reference."""
        return ratio_db(self._reference, self._error) if self._reference else None

    @property
    def si_sdr_db(self) -> float | None:
        """The same with the reference scaled to fit the estimate best; None if either is silent."""
        if not self._reference or not self._estimate:
            return None
        target = self._product**2 / self._reference
        return ratio_db(target, max(self._estimate - target, 0.0))
