"""What is centred, what is held, what can be a voice: each as a mask of 0 to 1 over a spectrum."""

import numpy as np
from scipy import ndimage

POWER_FLOOR = np.float32(1e-30)  # decides between two silences, and changes nothing else


def centre_mask(left, right, sharpness):
    """Return how alike two channels are, bin by bin (Avendano and Jot 2002, doi:10.1109/ICASSP.2002.5745036).

    Parameters
    ----------
    left, right : ndarray of shape (..., frames, bins), complex64
        Their spectra.
    sharpness : float
        1 fades slowly with the distance from the middle, more faster.
    """
    alike = 2 * (left * right.conj()).real / (np.abs(left) ** 2 + np.abs(right) ** 2 + POWER_FLOOR)
    return np.clip(alike, 0, 1) ** np.float32(sharpness)


def held_mask(power, size_frames, size_bins):
    """Return the share of each bin that is held, not struck: a median along time against one along frequency.

    Parameters
    ----------
    power : ndarray of shape (batch, frames, bins), float32
        Squared magnitudes.
    size_frames, size_bins : int
        Lengths of the medians (Fitzgerald 2010, "Harmonic/percussive separation using median filtering").
    """
    held = ndimage.median_filter(power, (1, size_frames, 1))
    struck = ndimage.median_filter(power, (1, 1, size_bins))
    return (held + POWER_FLOOR / 2) / (held + struck + POWER_FLOOR)


def voice_mask(frequencies_hz, lowest_hz):
    """Return a smooth step over an octave: 0 well below the lowest frequency of a voice, 1 well above."""
    octaves = np.log2(np.maximum(frequencies_hz, 1) / lowest_hz)
    return (np.sin(np.clip(octaves + 0.5, 0, 1) * np.pi / 2) ** 2).astype(np.float32)
