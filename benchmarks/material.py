"""Recordings to measure on: music-like noise of any length, written block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from examples.demo import CLIP, CLIP_FILE

import isomix
from isomix.models.store import WeightsStore

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


def write_music(path: Path, minutes: float) -> Path:
    """Write the demo's clip of real music over and over, 16 bit at 44.1 kHz, and return its path.

    Parameters
    ----------
    path : Path
        Where.
    minutes : float
        How long.
    """
    clip, _ = isomix.read(WeightsStore().get(CLIP) / CLIP_FILE.name)
    samples = round(minutes * 60 * SAMPLE_RATE)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, subtype="PCM_16") as file:
        for start in range(0, samples, clip.shape[1]):
            file.write(clip.T[: samples - start])
    return path
