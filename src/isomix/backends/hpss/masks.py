"""Soft masks over a power spectrogram: what is a vertical ridge, and what is low.

A drum stroke is a vertical ridge of the spectrogram, a held note a horizontal one. A median along time erases the
first, a median along frequency the second (Fitzgerald 2010, "Harmonic/percussive separation using median filtering",
DAFx). The two compared give a soft mask (Driedger, Mueller, Disch 2014, "Extending harmonic-percussive separation of
audio signals", ISMIR).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isomix.audio.blocks import Audio

POWER_FLOOR = 1e-30
"""Decides between two silences (evenly) and changes nothing else: a float32 sample of 24-bit noise has 1e-14."""


def median_along_rows(rows: Audio, size: int) -> Audio:
    """Replace each value by the median of those around it on the last axis, mirrored at both ends.

    scipy's median over a one-dimensional float array costs O(log size) a value; over the rows of a matrix it was
    measured four to twenty times slower. So the padded rows are laid end to end and filtered at once.

    Parameters
    ----------
    rows : ndarray of shape (..., values), float32
        At least one value.
    size : int
        Odd number of values.

    Returns
    -------
    ndarray of shape (..., values), float32

    Examples
    --------
    >>> median_along_rows(np.array([[0, 0, 9, 0, 1, 1]], np.float32), 3).tolist()
    [[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]
    """
    reach = size // 2
    padded = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(reach, reach)], mode="reflect")
    medians: Audio = ndimage.median_filter(padded.ravel(), size).reshape(padded.shape)
    return medians[..., reach : reach + rows.shape[-1]]


def percussive_mask(power: Audio, *, size_frames: int, size_bins: int) -> Audio:
    """Return the share of each value that is percussive; the rest is harmonic.

    The medians are of power and not of magnitude, which makes the mask the Wiener one (exponent 2): a median commutes
    with squaring.

    Parameters
    ----------
    power : ndarray of shape (..., frames, bins), float32
        Squared magnitudes.
    size_frames, size_bins : int
        Odd lengths of the medians along time, which keeps the harmonic, and along frequency.

    Returns
    -------
    ndarray of shape (..., frames, bins), float32
        0 to 1.

    Examples
    --------
    >>> click = np.zeros((9, 9), np.float32)
    >>> click[4] = 1
    >>> percussive_mask(click, size_frames=3, size_bins=3)[4].min().item()
    1.0
    """
    percussive = median_along_rows(power, size_bins)
    harmonic = median_along_rows(np.ascontiguousarray(power.swapaxes(-1, -2)), size_frames).swapaxes(-1, -2)
    share: Audio = (percussive + np.float32(POWER_FLOOR / 2)) / (percussive + harmonic + np.float32(POWER_FLOOR))
    return share


def low_mask(frequencies_hz: NDArray[np.floating], *, cutoff_hz: float, width_octaves: float) -> Audio:
    """Return a smooth step down over frequency: 1 well below the cutoff, 1/2 at it, 0 well above.

    Parameters
    ----------
    frequencies_hz : ndarray of shape (bins,)
        At least 0.
    cutoff_hz : float
        The middle of the step.
    width_octaves : float
        From where it leaves 1 to where it reaches 0.

    Returns
    -------
    ndarray of shape (bins,), float32

    Examples
    --------
    >>> low_mask(np.array([0, 50, 200, 800]), cutoff_hz=200, width_octaves=1).round(3).tolist()
    [1.0, 1.0, 0.5, 0.0]
    """
    octaves = np.log2(np.maximum(frequencies_hz, 1.0) / cutoff_hz)
    ramp = np.clip(octaves / width_octaves + 0.5, 0, 1)
    return np.asarray(np.cos(ramp * np.pi / 2) ** 2, np.float32)
