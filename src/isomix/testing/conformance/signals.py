"""Recordings with known answers, and what is measured of their stems."""

from __future__ import annotations

import attrs
import numpy as np

from isomix.audio.blocks import Audio

LOUDNESS = 0.3
"""Peak of `noise`: far from clipping, and from what a network takes for silence."""


def noise(samples: int, channels: int = 2, *, seed: int = 0) -> Audio:
    """Return white noise, each channel its own: nothing else tells a shift by one sample so clearly.

    Parameters
    ----------
    samples, channels : int
        Its shape.
    seed : int
        Another one is another recording.

    Returns
    -------
    ndarray of shape (channels, samples), float32

    Examples
    --------
    >>> noise(3).shape
    (2, 3)
    """
    draw = np.random.default_rng(seed)
    return draw.uniform(-LOUDNESS, LOUDNESS, (channels, samples)).astype(np.float32)


def ratio_db(error: Audio, signal: Audio) -> float:
    """Return the energy of one signal against that of another, in dB.

    Parameters
    ----------
    error, signal : ndarray of any shape, float32
        Compared as wholes.

    Examples
    --------
    >>> ratio_db(np.ones(4, np.float32), 10 * np.ones(4, np.float32))
    -20.0
    """
    above, below = (float(np.square(audio, dtype=np.float64).sum()) for audio in (error, signal))
    if not above:
        return -np.inf
    return float(10 * np.log10(above / max(below, np.finfo(float).tiny)))


@attrs.frozen
class Lag:
    """Where one signal resembles another most.

    Parameters
    ----------
    samples : int
        How much later it is; negative for earlier.
    correlation : float
        There, 0 to 1.
    in_place : float
        Without a shift, 0 to 1.
    """

    samples: int
    correlation: float
    in_place: float


def find_lag(signal: Audio, reference: Audio) -> Lag:
    """Find how much later a signal comes than a reference, by cross-correlation.

    Parameters
    ----------
    signal, reference : ndarray of shape (channels, samples), float32
        Of one shape, with at least one sample.

    Examples
    --------
    >>> reference = noise(1000)
    >>> find_lag(np.roll(reference, 3, axis=-1), reference).samples
    3
    """
    samples = signal.shape[-1]
    size = 2 * samples
    product = np.fft.rfft(signal, size) * np.conj(np.fft.rfft(reference, size))
    scale = np.sqrt(np.square(signal, dtype=np.float64).sum() * np.square(reference, dtype=np.float64).sum())
    correlation = np.abs(np.fft.irfft(product, size).sum(axis=0)) / max(float(scale), np.finfo(float).tiny)
    best = int(correlation.argmax())
    return Lag(best if best < samples else best - size, float(correlation[best]), float(correlation[0]))
