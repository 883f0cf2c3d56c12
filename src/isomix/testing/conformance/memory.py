"""The check of memory over length, measured in a process of its own."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys

from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec
from isomix.testing.conformance.rules import Broken, Check
from isomix.testing.conformance.subject import Subject

KEPT = 0.25
"""Share of the added audio by which memory may grow."""
SLACK_BYTES = 500_000
SLACK_RESIDENT_BYTES = 32_000_000
"""What allocators may keep or need anew: of what Python traces, and of the whole process."""


def _check_memory(subject: Subject) -> None:
    figures = _measure_in_child(subject.spec, subject.options)
    audio = 4 * subject.spec.channels * figures["added"]
    for what, slack in (("traced", SLACK_BYTES), ("resident", SLACK_RESIDENT_BYTES)):
        before, after = figures[f"{what}_middle"], figures[f"{what}_end"]
        if after - before > KEPT * audio + slack:
            seconds = figures["added"] / subject.spec.sample_rate
            raise Broken(
                f"over the last {seconds:.0f} s of a recording {what} memory grew by {(after - before) / 1e6:.1f} MB, "
                f"from {before / 1e6:.1f} MB; that much audio is {audio / 1e6:.1f} MB"
            )


def _measure_in_child(spec: EngineSpec, options: EngineOptions) -> dict[str, int]:
    """Return peaks of the thirds of a long recording: only a fresh process has an honest peak."""
    request = base64.b64encode(pickle.dumps((spec, options)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", f"{__name__}_child"], input=request, env=environment, capture_output=True, check=False
    )
    if done.returncode:
        raise Broken(f"in a process of its own it failed:\n{done.stderr.decode(errors='replace')}")
    figures: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return figures


MEMORY = (
    Check(
        "memory",
        "Memory does not grow with the length of a recording: a stream gives stems away as soon as they are settled.",
        _check_memory,
    ),
)
