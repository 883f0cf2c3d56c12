"""Peak memory against length: an hour to files must cost what six minutes cost."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from demucs.hdemucs import HDemucs

from benchmarks.child import PASS_THROUGH, separate_in_child
from benchmarks.material import write_noise
from benchmarks.networks import TINY, save_network

MODELS = (PASS_THROUGH, "hpss", "spleeter:2stems", "spleeter+hpss", "tiny-hdemucs")
MINUTES = (6, 60)


def run() -> dict[str, Any]:
    """Measure and print every model at every length."""
    figures: dict[str, Any] = {}
    print(f"\n{'peak memory to files':<20}" + "".join(f"{minutes:>8} min" for minutes in MINUTES) + f"{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        sources = {minutes: str(write_noise(Path(folder, f"{minutes}.wav"), minutes)) for minutes in MINUTES}
        save_network(Path(folder), "tiny-hdemucs", TINY, kind=HDemucs)
        for model in MODELS:
            options = {"repo": folder} if model == "tiny-hdemucs" else {}
            peaks = [
                separate_in_child(source, f"{folder}/stems", model, **options)["peak_bytes"]
                for source in sources.values()
            ]
            figures[model] = {"minutes": MINUTES, "peak_bytes": peaks, "ratio": peaks[-1] / peaks[0]}
            print(f"{model:<20}" + "".join(f"{peak / 1e6:9.0f} MB" for peak in peaks) + f"{peaks[-1] / peaks[0]:8.3f}")
    return figures
