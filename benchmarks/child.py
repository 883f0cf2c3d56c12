"""One separation in a process of its own, measured from inside: ``python -m benchmarks.child '{...}'``.

A fresh process is the only honest way to a peak: memory that an earlier run freed may still be mapped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import numpy as np

import isomix
from isomix.planning.measuring import get_peak_bytes
from isomix.testing.engines import pass_through_spec

PASS_THROUGH = "pass-through"


def separate_in_child(source: str, output: str, model: str, **options: Any) -> dict[str, float]:
    """Separate in a new process.

    Parameters
    ----------
    source, output : str
        File and folder.
    model : str
        A model's name, or ``"pass-through"`` for the pipe alone with four stems.
    **options : Any
        As for `isomix.separate`.

    Returns
    -------
    dict
        ``peak_bytes``, ``wall_seconds``, ``cpu_seconds`` (loading apart), ``real_time_factor``, ``duration_seconds``.
    """
    request = json.dumps({"source": source, "output": output, "model": model, **options})
    command = [sys.executable, "-m", "benchmarks.child", request]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Do what the argument says and print the figures."""
    request = json.loads(sys.argv[1])
    source, model = request.pop("source"), request.pop("model")
    if model == PASS_THROUGH:
        model = pass_through_spec(length=343980, hop=257985, stems=("vocals", "drums", "bass", "other"))
    to = {name: request.pop(name) for name in ("output", "format", "encoding") if name in request}
    with isomix.Separator(model, **request) as separator:
        # The originals are warm, too, before the clock starts.
        separator.separate((np.zeros((2, 44100), np.float32), 44100))
        started, cpu_started = time.monotonic(), time.process_time()
        separation = separator.separate(source, **to)
    wall_seconds = time.monotonic() - started
    figures = {
        "peak_bytes": get_peak_bytes(),
        "wall_seconds": wall_seconds,
        "cpu_seconds": time.process_time() - cpu_started,
        "real_time_factor": separation.duration / wall_seconds,
        "duration_seconds": separation.duration,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
