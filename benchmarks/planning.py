"""What `isomix.plan` predicts against what happens: time and peak memory of fresh processes, three lengths a model.

As a child, ``python -m benchmarks.planning '{...}'``, it is one such process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import isomix
from isomix.planning.measuring import count_others_seconds, get_peak_bytes
from isomix.settings import get_weights_dir

TINY_NAME = "tiny-hdemucs"
MODELS = ("hpss", "spleeter:2stems", "spleeter+hpss", TINY_NAME)
LENGTHS_SECONDS = (15, 60, 240)
RUNS = 3
KINDS = ("time", "memory")
LIMITS = (1.5, 1.25)
"""What has to hold of predicted against actual, either way."""


def run() -> dict[str, Any]:
    """Calibrate every model, predict, measure and print the ratios of prediction to the fastest of a few runs."""
    from demucs.hdemucs import HDemucs

    from benchmarks.material import write_noise
    from benchmarks.networks import TINY, save_network

    figures: dict[str, Any] = {}
    print(f"\n{'plan / fact':<18}{'seconds':>8}{'time':>16}{'ratio':>8}{'memory MB':>16}{'ratio':>8}{'others':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = _link_weights(folder / "weights")
        sources = {length: write_noise(folder / f"{length}.wav", length / 60) for length in LENGTHS_SECONDS}
        save_network(folder, TINY_NAME, TINY, kind=HDemucs)
        for model in MODELS:
            options = {"weights_dir": str(store), **({"repo": name} if model == TINY_NAME else {})}
            for length, source in sources.items():
                figures[f"{model} {length}"] = row = compare(model, source, folder / "stems", options)
                _print(model, length, row)
    for kind, limit in zip(KINDS, LIMITS, strict=True):
        worst = max(max(row[f"{kind}_ratio"], 1 / row[f"{kind}_ratio"]) for row in figures.values())
        print(f"worst {kind}: off by a factor of {worst:.2f}; {limit} is allowed")
    return figures


def compare(model: str, source: Path, output: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Predict one separation, then run it in fresh processes.

    Parameters
    ----------
    model : str
        Its name.
    source, output : Path
        The recording; where its stems go.
    options : dict
        As for `isomix.separate`; calibrations are kept in their ``weights_dir``.
    """
    plan = isomix.plan(source, model, output=output, calibrate=True, **options)
    request = json.dumps({"source": str(source), "model": model, "output": str(output), **options})
    command = [sys.executable, "-m", "benchmarks.planning", request]
    runs = [json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(RUNS)]
    fastest = min(runs, key=lambda run: run["seconds"])  # other programs only ever add time
    seconds = fastest["seconds"]
    peak_bytes = statistics.median(run["peak_bytes"] for run in runs)
    return {
        "estimate": plan.estimate,
        "planned_seconds": plan.seconds,
        "planned_bytes": plan.peak_bytes,
        "runs": runs,
        "seconds": seconds,
        "peak_bytes": peak_bytes,
        "time_ratio": plan.seconds / seconds,
        "memory_ratio": plan.peak_bytes / peak_bytes,
        "others_cpus": fastest["others_cpus"],
        "warnings": plan.warnings,
    }


def _link_weights(store: Path) -> Path:
    """Return a weights folder with what this machine has, but for its calibrations."""
    store.mkdir()
    for entry in get_weights_dir().iterdir():
        if entry.name != "calibration":
            (store / entry.name).symlink_to(entry)
    return store


def _print(model: str, length: int, row: dict[str, Any]) -> None:
    print(
        f"{model:<18}{length:>8}"
        f"{row['planned_seconds']:>8.2f}{row['seconds']:>8.2f}{row['time_ratio']:>8.2f}"
        f"{row['planned_bytes'] / 1e6:>8.0f}{row['peak_bytes'] / 1e6:>8.0f}{row['memory_ratio']:>8.2f}"
        f"{row['others_cpus']:>8.1f}",
        flush=True,
    )


def main() -> None:
    """Separate what the argument says, and print what it took."""
    request = json.loads(sys.argv[1])
    started, others = time.monotonic(), count_others_seconds()
    isomix.separate(**request)
    seconds = time.monotonic() - started
    # A ratio is worth what the time of others is near to nothing.
    others_cpus = (count_others_seconds() - others) / seconds
    figures = {"seconds": seconds, "peak_bytes": get_peak_bytes(), "others_cpus": others_cpus}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
