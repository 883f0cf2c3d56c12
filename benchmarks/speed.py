"""How many times faster than real time each model is, from file to files, weights loaded."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.child import PASS_THROUGH, separate_in_child
from benchmarks.material import write_noise

CASES = (
    (PASS_THROUGH, "wav"),
    (PASS_THROUGH, "flac"),
    ("hpss", "wav"),
    ("spleeter:2stems", "wav"),
    ("spleeter+hpss", "wav"),
)
MINUTES = 4
RUNS = 3


def run() -> dict[str, Any]:
    """Measure and print the median of a few runs of every case."""
    figures: dict[str, Any] = {}
    print(f"\n{f'{MINUTES} min to files':<28}{'x real time':>12}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        source = str(write_noise(Path(folder, "source.wav"), MINUTES))
        for model, file_format in CASES:
            runs = [separate_in_child(source, f"{folder}/stems", model, format=file_format) for _ in range(RUNS)]
            median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            figures[f"{model} to {file_format}"] = {"runs": runs, "median": median}
            print(
                f"{f'{model} to {file_format}':<28}{median['real_time_factor']:12.1f}{median['wall_seconds']:9.2f}"
                f"{median['cpu_seconds']:9.2f}{median['peak_bytes'] / 1e6:9.0f}"
            )
    return figures
