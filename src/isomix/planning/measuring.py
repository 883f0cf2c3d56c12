"""What calibrating measures, in a process of its own that calls `main`.

A fresh process is the only honest way to a peak of memory, and to what loading costs.
"""

from __future__ import annotations

import os
import pickle
import resource
import sys
import time
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from isomix.errors import IsomixError

if TYPE_CHECKING:
    from isomix.engine import EngineSpec
    from isomix.separation import Separator

SHORTEST_RUN_SECONDS = 2.0
"""The long run is made longer until it takes as long: below, the clock hears the machine rather than the model."""
LONGEST_AUDIO_SECONDS = 120.0
REPETITIONS = 2
"""Of which the fastest counts: other programs only ever add time."""


@attrs.frozen(kw_only=True)
class Request:
    """What is to be measured.

    Parameters
    ----------
    spec : EngineSpec
    stems : tuple of str
        The stems that come out.
    choices : dict
        The options of `isomix.Separator`.
    writes : dict
        ``format`` and ``encoding`` of the files, or nothing to keep stems in memory.
    sample_rate, channels : int
        Of the recording.
    short_seconds, long_seconds : float
        Lengths to begin with.
    folder : str
        Where signals and stems may be written.
    is_rehearsal : bool
        Whether one run is enough: the first process fills the caches.
    """

    spec: EngineSpec
    stems: tuple[str, ...]
    choices: dict[str, Any]
    writes: dict[str, Any]
    sample_rate: int
    channels: int
    short_seconds: float
    long_seconds: float
    folder: str = ""
    is_rehearsal: bool = False


@attrs.frozen(kw_only=True)
class Measured:
    """What was measured.

    Parameters
    ----------
    load_seconds : float
        From the import to the opened engine.
    cold : (float, float)
        Audio and wall seconds of the first run.
    short : (float, float)
        Of a short run.
    long : (float, float)
        Of a long run.
    peak_bytes : int
        Memory of the process at its highest.
    device, runtime, precision : str
        As they were chosen.
    others_cpus : float
        How many processors other programs kept busy meanwhile; 0 where the system does not tell.
    """

    load_seconds: float
    cold: tuple[float, float]
    short: tuple[float, float]
    long: tuple[float, float]
    peak_bytes: int
    device: str
    runtime: str
    precision: str
    others_cpus: float = 0.0


def measure(request: Request) -> Measured:
    """Open the engine and run it on a short and a long signal.

    Parameters
    ----------
    request : Request
        What to run.
    """
    started, others = time.monotonic(), count_others_seconds()
    from isomix.separation import Separator  # what a first separation imports is part of its time

    with Separator(request.spec, stems=request.stems, **request.choices) as separator:
        load_seconds = time.monotonic() - started
        # The first run meets segments of all lengths, for each of which a network may prepare itself anew.
        cold = short = long = _run(separator, request, request.long_seconds)
        if not request.is_rehearsal:
            while long[1] < SHORTEST_RUN_SECONDS and long[0] < LONGEST_AUDIO_SECONDS:
                long = _run(separator, request, min(2 * long[0], LONGEST_AUDIO_SECONDS))
            short, long = (
                min((_run(separator, request, seconds) for _ in range(REPETITIONS)), key=itemgetter(1))
                for seconds in (request.short_seconds, long[0])
            )
        return Measured(
            load_seconds=load_seconds,
            cold=cold,
            short=short,
            long=long,
            peak_bytes=get_peak_bytes(),
            device=separator.device,
            runtime=separator.runtime,
            precision=separator.precision,
            others_cpus=max(count_others_seconds() - others, 0.0) / (time.monotonic() - started),
        )


def _run(separator: Separator, request: Request, seconds: float) -> tuple[float, float]:
    """Separate a signal of a length; return it and the wall seconds that it took."""
    path = Path(request.folder, f"signal-{seconds:.3f}.wav")
    if not path.exists():
        _write_signal(path, seconds, request.sample_rate, request.channels)
    started = time.monotonic()
    output = Path(request.folder, "stems") if request.writes else None
    separation = separator.separate(path, output=output, **request.writes)
    return separation.duration, time.monotonic() - started


def _write_signal(path: Path, seconds: float, sample_rate: int, channels: int) -> None:
    """Write noise with a falling spectrum, as music roughly has."""
    import numpy as np
    import soundfile

    draw = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", sample_rate, channels, subtype="PCM_16") as file:
        left = round(seconds * sample_rate)
        while left > 0:
            samples = min(left, sample_rate)
            walk = np.cumsum(draw.standard_normal((samples, channels)), axis=0)
            file.write(0.3 * (walk - walk.mean(axis=0)) / max(np.abs(walk).max(), 1.0))
            left -= samples


def count_others_seconds() -> float:
    """Return the processor seconds that other programs have used since the machine started, as a system tells it.

    Returns
    -------
    float
        Differences tell how busy others are; 0 where the system does not tell.
    """
    statistics = Path("/proc/stat")
    if not statistics.exists():
        return 0.0
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, statistics.read_text().splitlines()[0].split()[1:])
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy - time.process_time()


def get_peak_bytes() -> int:
    """Return the most memory that this process has held, in bytes.

    Returns
    -------
    int
        On Linux of this program alone; ``getrusage`` would count the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(request_path: str, result_path: str) -> None:
    """Do what a file says and write what came of it, an error of isomix's among it.

    Parameters
    ----------
    request_path, result_path : str
        Pickles of our own making: a `Request`; a `Measured` or an `IsomixError`.
    """
    outcome: Measured | IsomixError
    try:
        outcome = measure(pickle.loads(Path(request_path).read_bytes()))
    except IsomixError as error:
        outcome = error
    Path(result_path).write_bytes(pickle.dumps(outcome))
