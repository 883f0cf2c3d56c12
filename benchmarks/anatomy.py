"""Where the time goes: the share outside the network, the wait for the first audio, the cost as length grows."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import isomix
from benchmarks.material import write_music
from benchmarks.networks import REAL, save_network
from isomix.runtime.openvino import OpenVinoNetwork
from isomix.runtime.torch import TorchRuntime

RUNS = 3
GROWTH_MINUTES = (1, 4, 16)


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Collect the wall seconds of every call of a network in either runtime."""
    seconds: list[float] = []

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            outcome = work(*arguments)
            seconds.append(time.perf_counter() - started)
            return outcome

        return call

    with (
        patch.object(OpenVinoNetwork, "run", timed(OpenVinoNetwork.run)),
        patch.object(TorchRuntime, "_run", timed(TorchRuntime._run)),
    ):
        yield seconds


def run() -> dict[str, Any]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_network(folder, "real", REAL)
        sources = {minutes: str(write_music(folder / f"{minutes}.wav", minutes)) for minutes in (*GROWTH_MINUTES, 1)}
        models: dict[str, dict[str, Any]] = {"real": {"repo": folder}, "spleeter:2stems": {}}
        figures: dict[str, Any] = {}
        print(
            f"\n{'1 min to files':<18}{'wall s':>8}{'in network':>12}{'outside':>9}{'first audio':>13}{'one call':>10}"
        )
        for model, options in models.items():
            figures[model] = anatomy(model, sources[1], folder, options)
            print_anatomy(model, figures[model])
        print(f"\n{'seconds per minute of audio':<30}" + "".join(f"{minutes:>8} min" for minutes in GROWTH_MINUTES))
        figures["growth"] = growth("spleeter:2stems", sources, folder)
        print(f"{'spleeter:2stems':<30}" + "".join(f"{seconds:12.2f}" for seconds in figures["growth"].values()))
    return figures


def anatomy(model: str, source: str, folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """Return medians of the wall time, the time in the network, and the wait of `stream` for its first block."""
    with isomix.Separator(model, **options) as separator:
        separator.separate(source, output=folder / "warm")
        walls, inside, firsts, calls = [], [], [], []
        for _ in range(RUNS):
            with stopwatch() as seconds:
                started = time.perf_counter()
                separator.separate(source, output=folder / "stems")
                walls.append(time.perf_counter() - started)
            inside.append(sum(seconds))
            calls.append(statistics.median(seconds))
            stream = separator.stream(source)
            started = time.perf_counter()
            next(stream)
            firsts.append(time.perf_counter() - started)
            stream.close()
    wall_seconds, network_seconds = statistics.median(walls), statistics.median(inside)
    return {
        "wall_seconds": wall_seconds,
        "network_seconds": network_seconds,
        "share_outside": 1 - network_seconds / wall_seconds,
        "first_audio_seconds": statistics.median(firsts),
        "call_seconds": statistics.median(calls),
    }


def growth(model: str, sources: dict[int, str], folder: Path) -> dict[int, float]:
    """Return the wall seconds per minute of audio at each length."""
    with isomix.Separator(model) as separator:
        figures = {}
        for minutes in GROWTH_MINUTES:
            started = time.perf_counter()
            separator.separate(sources[minutes], output=folder / "stems")
            figures[minutes] = (time.perf_counter() - started) / minutes
    return figures


def print_anatomy(model: str, figures: dict[str, float]) -> None:
    """Print one line of the table."""
    print(
        f"{model:<18}{figures['wall_seconds']:8.2f}{figures['network_seconds']:12.2f}{figures['share_outside']:9.1%}"
        f"{figures['first_audio_seconds']:12.2f}s{figures['call_seconds']:9.2f}s"
    )
