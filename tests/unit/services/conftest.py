"""Small studios on real parts that live in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from isomix import Studio
from isomix.domain.keys import make_id

SAMPLE_RATE = 44100


def make_recording(
    seconds: float, *, seed: int = 0, file_format: str = "WAV", subtype: str = "PCM_16", level: float = 0.2
) -> bytes:
    """Return stereo noise as a file."""
    audio = level * np.random.default_rng(seed).standard_normal((round(seconds * SAMPLE_RATE), 2)).clip(-4, 4)
    file = io.BytesIO()
    soundfile.write(file, audio, SAMPLE_RATE, format=file_format, subtype=subtype)
    return file.getvalue()


def read_audio(file: Any) -> np.ndarray:
    """Return the samples of an opened stem or export, (samples, channels)."""
    with file:
        return soundfile.read(io.BytesIO(file.read()), dtype="float64", always_2d=True)[0]


@pytest.fixture
def recording() -> bytes:
    """Three seconds of noise."""
    return make_recording(3)


@pytest.fixture
def open_studio(tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    """Return what opens studios that share nothing, and close them all."""
    opened = []

    def open_one(**settings: Any) -> Studio:
        given = {
            "database": "memory://",
            "storage": f"memory://{make_id()}",
            "queue": "inline",
            "model": "testing:tiny",
        }
        studio = Studio.open(**{**given, **settings})
        opened.append(studio)
        return studio

    yield open_one
    for studio in opened:
        studio.close()


@pytest.fixture
def studio(open_studio: Callable[..., Studio]) -> Studio:
    """Return a studio in memory that runs jobs in the caller."""
    return open_studio()


def list_keys(studio: Studio) -> list[str]:
    """Return every key in the studio's store."""
    return sorted(info.key for info in studio.ports.store.list_objects("projects/"))
