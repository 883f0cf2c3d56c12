"""The same network, at the size of htdemucs and with random weights, in Demucs' hands and in isomix's.

Random weights cost what trained ones do; the figures say nothing of quality, only of time and of agreement.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from demucs.apply import apply_model
from demucs.repo import LocalRepo

from benchmarks.material import SAMPLE_RATE, write_noise
from benchmarks.networks import REAL, STEMS, save_network
from isomix import Separator
from isomix.audio.blocks import Audio
from isomix.backends.demucs import isomix_find_engine
from isomix.domain.options import EngineOptions

SECONDS = 30
RUNS = 2
CASES = ("float32", "bfloat16")


def run() -> dict[str, Any]:
    """Separate half a minute with each, in turn, and print time and agreement."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_network(folder, "network", REAL)
        mixture, _ = soundfile.read(write_noise(folder / "mixture.wav", SECONDS / 60), dtype="float32")
        return compare(folder, np.ascontiguousarray(mixture.T))


def compare(repo: Path, mixture: Audio) -> dict[str, Any]:
    """Time Demucs and every precision of isomix over the same mixture."""
    model = LocalRepo(repo).get_model("network").eval()
    spec = isomix_find_engine("network", EngineOptions(repo=repo))
    assert spec is not None
    reference, demucs_seconds = timed(lambda: run_demucs(model, mixture))
    figures: dict[str, Any] = {"demucs": {"seconds": demucs_seconds, "x real time": SECONDS / demucs_seconds}}
    print(f"\n{f'{SECONDS} s of htdemucs, CPU':<28}{'wall s':>9}{'x real time':>13}{'x Demucs':>10}{'SNR dB':>8}")
    print(f"{'demucs apply_model':<28}{demucs_seconds:9.2f}{SECONDS / demucs_seconds:13.2f}{1:10.2f}{'':>8}")
    for precision in CASES:
        with Separator(spec, repo=repo, device="cpu", precision=precision) as separator:
            stems, seconds = timed(lambda separator=separator: run_isomix(separator, mixture))
        snr_db = agreement_db(reference, stems)
        figures[precision] = {"seconds": seconds, "ratio": demucs_seconds / seconds, "snr_db": snr_db}
        print(
            f"{f'isomix {precision}':<28}{seconds:9.2f}{SECONDS / seconds:13.2f}{demucs_seconds / seconds:10.2f}"
            f"{snr_db:8.1f}"
        )
    return figures


def timed(call: Callable[[], Audio]) -> tuple[Audio, float]:
    """Return what a call returns, and the median wall time of a few runs of it."""
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        outcome = call()
        seconds.append(time.perf_counter() - started)
    return outcome, statistics.median(seconds)


def run_demucs(model: Any, mixture: Audio) -> Audio:
    """Separate as ``demucs.api.Separator`` does, without its random shift."""
    audio = torch.from_numpy(mixture)
    mono = audio.mean(0)
    mean, scale = mono.mean(), mono.std() + 1e-8
    stems = apply_model(model, ((audio - mean) / scale)[None], shifts=0)[0]
    return np.asarray((stems * scale + mean).numpy(), np.float32)


def run_isomix(separator: Separator, mixture: Audio) -> Audio:
    """Separate through the whole pipe, to arrays."""
    separation = separator.separate((mixture, SAMPLE_RATE))
    return np.stack([separation[stem].array for stem in STEMS])


def agreement_db(reference: Audio, stems: Audio) -> float:
    """Return how far the difference lies below the reference, in dB."""
    difference = np.square(reference - stems, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(reference, dtype=np.float64).sum() / max(difference, 1e-300)))
