"""What every peer's script needs; imported in the peer's own environment, so of the standard library alone."""

import json
import resource
import sys
import time
from contextlib import contextmanager


@contextmanager
def measured(duration_seconds):
    """Print the figures of the work inside as JSON: time since here, peak of the whole process."""
    started, cpu_started = time.monotonic(), time.process_time()
    yield
    wall_seconds = time.monotonic() - started
    unit = 1 if sys.platform == "darwin" else 1024
    figures = {
        "wall_seconds": wall_seconds,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "real_time_factor": duration_seconds / wall_seconds,
        "duration_seconds": duration_seconds,
    }
    print(json.dumps(figures))
