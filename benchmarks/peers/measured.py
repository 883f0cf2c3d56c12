"""What every peer's script needs; imported in the peer's own environment, so of the standard library alone."""

import json
import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def measured(duration_seconds):
    """Print the figures of the work inside as JSON: time since here, peak of the whole process."""
    started, cpu_started = time.monotonic(), time.process_time()
    yield
    wall_seconds = time.monotonic() - started
    figures = {
        "wall_seconds": wall_seconds,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_bytes": get_peak_bytes(),
        "real_time_factor": duration_seconds / wall_seconds,
        "duration_seconds": duration_seconds,
    }
    print(json.dumps(figures))


def get_peak_bytes():
    """Return the most memory that this program has held; on Linux, getrusage would count the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
