"""A long recording in this process, for the check of memory.

Run as ``python -m isomix.testing.conformance.memory_child`` with a pickled spec and options at its input.
"""

from __future__ import annotations

import base64
import json
import pickle
import sys
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

from isomix.audio.blocks import Audio, StemStream
from isomix.engine import SeparationEngine
from isomix.plugins import open_engine
from isomix.testing.conformance.signals import noise

LEAST_SEGMENTS = 15
WORK_SECONDS = 2.5
LONGEST_SECONDS = 600.0
"""The recording goes on for so much work, up to so much audio: the more, the plainer a leak."""


def main() -> None:
    """Separate a recording, and print how much memory its second and its last third took."""
    spec, options = pickle.loads(base64.b64decode(sys.stdin.buffer.read()))
    engine = open_engine(spec, options)
    block = noise(engine.segmentation.length * engine.batch_size, spec.channels)
    tracemalloc.start()
    third = _choose_length(engine, block) // 3
    stream = engine.open_stream()
    peaks = [_push(stream, block, third) for _ in range(3)]
    names = ("traced_middle", "resident_middle", "traced_end", "resident_end")
    figures = {"added": third * block.shape[-1], **dict(zip(names, [*peaks[1], *peaks[2]], strict=True))}
    sys.stdout.write(f"\n{json.dumps(figures)}\n")


def _choose_length(engine: SeparationEngine, block: Audio) -> int:
    """Return how many blocks to push; the run that tells how long one takes also warms caches."""
    started = time.monotonic()
    stream = engine.open_stream()
    _push(stream, block, 2)
    _let_go(stream.finish())
    affordable = WORK_SECONDS / (time.monotonic() - started) * 2
    longest = LONGEST_SECONDS * engine.spec.sample_rate / block.shape[-1]
    return max(int(min(affordable, longest)), LEAST_SEGMENTS)


def _push(stream: StemStream, block: Audio, times: int) -> tuple[int, int]:
    """Push noise whose stems nobody keeps; return the peaks of traced and resident memory, in bytes."""
    tracemalloc.reset_peak()
    for _ in range(times):
        _let_go(stream.push(block.copy()))
    return tracemalloc.get_traced_memory()[1], _resident_peak()


def _let_go(settled: Iterable[Audio]) -> None:
    for _ in settled:
        continue


def _resident_peak() -> int:
    """Return the peak of this process in bytes, where the system tells; 0 elsewhere."""
    # Not getrusage: its peak begins, on Linux, with that of the process that started this one.
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
