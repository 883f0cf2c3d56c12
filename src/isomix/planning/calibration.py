"""What was measured of a model on this machine: kept in the weights folder, found again, turned into predictions."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs

from isomix._version import __version__
from isomix.errors import EngineError, IsomixError
from isomix.planning.measuring import Measured, Request
from isomix.runtime.cache import read_cached, write_cached

FOLDER = "calibration"
QUIET_CPUS = 0.2
"""More than this of a processor used by other programs, and a measurement says too much."""
_SUFFIX = ".calibration"
_PACKAGES = ("numpy", "scipy", "torch", "openvino", "demucs")

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])  # before the request is read: it may name a plugin's classes
from isomix.planning.measuring import main
main(*sys.argv[2:])
"""

Facts = Mapping[str, Any]
"""All that a time and a peak depend on but the recording's length; plain values."""


@attrs.frozen(kw_only=True)
class Calibration:
    """How long a model takes here, and how much memory.

    Parameters
    ----------
    facts : mapping
        What it was measured for.
    load_seconds : float
        To import and open everything, in a fresh process.
    fixed_seconds : float
        What a first separation takes whatever its length.
    seconds_per_second : float
        What each second of audio costs that networks are given.
    peak_bytes : int
        Highest memory of the process, without stems kept in memory; it does not depend on the length.
    device, runtime, precision : str
        As the engine had chosen.
    others_cpus : float
        How many processors other programs kept busy meanwhile.
    """

    facts: Facts
    load_seconds: float
    fixed_seconds: float
    seconds_per_second: float
    peak_bytes: int
    device: str
    runtime: str
    precision: str
    others_cpus: float = 0.0

    @property
    def is_disturbed(self) -> bool:
        """Whether other programs made it slower than it is."""
        return self.others_cpus > QUIET_CPUS

    @classmethod
    def of(cls, facts: Facts, measured: Measured, count_seconds: Callable[[float], float], kept: int) -> Calibration:
        """Fit the model of time to what was measured.

        Parameters
        ----------
        facts : mapping
            What it was measured for.
        measured : Measured
            Three runs.
        count_seconds : callable
            From a recording's duration to the seconds of audio that its networks are given.
        kept : int
            Bytes of stems that are kept in memory for a second of the recording.
        """
        cold, short, long = (count_seconds(run[0]) for run in (measured.cold, measured.short, measured.long))
        slope = max(measured.long[1] - measured.short[1], 0.0) / max(long - short, 1e-9)
        return cls(
            facts=facts,
            load_seconds=measured.load_seconds,
            fixed_seconds=max(measured.cold[1] - slope * cold, 0.0),
            seconds_per_second=slope,
            peak_bytes=measured.peak_bytes - round(kept * measured.long[0]),
            device=measured.device,
            runtime=measured.runtime,
            precision=measured.precision,
            others_cpus=measured.others_cpus,
        )


def describe_machine() -> dict[str, Any]:
    """Return what makes times comparable: processor, threads, versions.

    Returns
    -------
    dict
        Plain values.
    """
    return {
        "processor": _get_processor(),
        "threads": count_threads(),
        "isomix": __version__,
        "packages": {name: found for name in _PACKAGES if (found := _find_version(name))},
    }


def count_threads() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _get_processor() -> str:
    names = Path("/proc/cpuinfo")
    if names.exists():
        for line in names.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _find_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def keep(folder: Path, calibration: Calibration) -> None:
    """Write a calibration; where that is not possible, it is left undone.

    Parameters
    ----------
    folder : Path
        The weights folder.
    calibration : Calibration
        One that is there for the same facts is replaced.
    """
    content = json.dumps(attrs.asdict(calibration)).encode()
    write_cached(_path_of(folder, calibration.facts), memoryview(content))


def find(folder: Path, facts: Facts) -> Calibration | None:
    """Return the calibration for these very facts, or None.

    Parameters
    ----------
    folder : Path
        The weights folder.
    facts : mapping
        What is to be predicted.
    """
    return _read(_path_of(folder, facts))


def find_nearest(folder: Path, facts: Facts) -> Calibration | None:
    """Return what was measured of the same model on the same machine for other stems, options or formats, or None.

    Parameters
    ----------
    folder : Path
        The weights folder.
    facts : mapping
        What is to be predicted.
    """
    found = [calibration for path in _folder_of(folder).glob(f"*{_SUFFIX}") if (calibration := _read(path))]
    same = [near for near in found if all(near.facts.get(name) == facts[name] for name in ("model", "machine"))]
    return max(same, key=lambda near: sum(near.facts.get(name) == facts[name] for name in facts), default=None)


def _read(path: Path) -> Calibration | None:
    content = read_cached(path)
    if content is None:
        return None
    try:
        return Calibration(**json.loads(content.tobytes()))
    except (ValueError, TypeError):  # of a version that kept something else
        return None


def _folder_of(folder: Path) -> Path:
    return folder / FOLDER


def _path_of(folder: Path, facts: Facts) -> Path:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return _folder_of(folder) / f"{digest[:24]}{_SUFFIX}"


def run_measurement(request: Request) -> Measured:
    """Measure in a fresh process, after one that fills the caches as any earlier separation would have.

    Parameters
    ----------
    request : Request
        What to run; its files live in a temporary folder.

    Raises
    ------
    IsomixError
        What the separation raised.
    EngineError
        If the process ended without an answer.
    """
    with tempfile.TemporaryDirectory(prefix="isomix-") as folder:
        there = attrs.evolve(request, folder=folder)
        _run_process(attrs.evolve(there, long_seconds=there.short_seconds, is_rehearsal=True))
        return _run_process(there)


def _run_process(request: Request) -> Measured:
    asked, told = Path(request.folder, "request"), Path(request.folder, "result")
    asked.write_bytes(pickle.dumps(request))
    told.unlink(missing_ok=True)
    command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), str(asked), str(told)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if not told.exists():
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EngineError(f"{request.spec.name} could not be measured: {last}", model=request.spec.name)
    outcome: Measured | IsomixError = pickle.loads(told.read_bytes())
    if isinstance(outcome, IsomixError):
        raise outcome
    return outcome
