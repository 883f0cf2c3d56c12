"""The recording that the examples use: the file named on the command line, or eight seconds made here.

Shows:   nothing of isomix; it keeps the other examples short.
Install: nothing more than isomix.
Run:     not by itself.
See:     a chord over a beat, as a path to a WAV file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 44100


def get_song(seconds: float = 8.0) -> Path:
    """Return the first argument of the command line, else a new recording in the folder of temporary files."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    return make_song(Path(tempfile.gettempdir(), f"isomix-example-{seconds:g}s.wav"), seconds)


def make_song(path: Path, seconds: float) -> Path:
    """Write a chord over a beat: harmonic and percussive, so that hpss has something to tell apart.

    Parameters
    ----------
    path : Path
        A WAV file, written over.
    seconds : float
        Its duration.
    """
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    chord = sum(np.sin(2 * np.pi * hertz * times) for hertz in (110.0, 277.2, 329.6))
    hiss = np.random.default_rng(0).standard_normal(times.size)
    beat = hiss * np.exp(-40 * (times % 0.5))
    soundfile.write(path, 0.1 * np.stack([chord + 2 * beat, chord - beat], axis=1), SAMPLE_RATE, subtype="PCM_16")
    return path
