"""Recordings to measure on: music-like noise of any length, written block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 44100


def write_noise(path: Path, minutes: float) -> Path:
    """Write stereo noise with a falling spectrum, 16 bit at 44.1 kHz, and return its path.

    Parameters
    ----------
    path : Path
        Where; the ending tells the format.
    minutes : float
        How long.
    """
    draw = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, subtype="PCM_16") as file:
        for _ in range(round(minutes * 60)):
            # One second; a running sum over white noise tilts it by -6 dB per octave, as music roughly is.
            walk = np.cumsum(draw.standard_normal((SAMPLE_RATE, 2)), axis=0)
            file.write(0.3 * (walk - walk.mean(axis=0)) / np.abs(walk).max())
    return path
