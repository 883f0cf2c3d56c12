"""BSS Eval version 4, computed by museval, the reference implementation."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isomix.audio.blocks import Audio
from isomix.errors import EngineUnavailable
from isomix.evaluation.ratios import limit_db
from isomix.evaluation.scores import BssEval


def measure(references: Mapping[str, Audio], estimates: Mapping[str, Audio], sample_rate: int) -> dict[str, BssEval]:
    """Return the medians over frames of one second, as museval gives them.

    Parameters
    ----------
    references, estimates : mapping of str to ndarray of shape (channels, samples), float32
        Equal stems, equal shapes.
    sample_rate : int
        In Hz.

    Returns
    -------
    dict of str to BssEval
        Without the stems whose reference or estimate is silent.

    Raises
    ------
    EngineUnavailable
        If museval is not installed.
    """
    metrics = _import_metrics()
    heard = [name for name, reference in references.items() if _is_heard(reference)]
    if not heard:
        return {}
    wanted = np.stack([references[name].T for name in heard], dtype=np.float64)
    # museval refuses silent estimates. Each is judged by itself, so a stand-in leaves the others' figures alone.
    judged = [estimates[name] if _is_heard(estimates[name]) else references[name] for name in heard]
    given = np.stack([estimate.T for estimate in judged], dtype=np.float64)
    frame = min(sample_rate, wanted.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):  # an exact copy is infinitely good, in museval too
        figures = metrics.bss_eval(wanted, given, window=frame, hop=frame)[:4]
    return {
        name: BssEval(*(_median(figure[position]) for figure in figures))
        for position, name in enumerate(heard)
        if _is_heard(estimates[name])
    }


def _is_heard(signal: Audio) -> bool:
    """Tell what museval takes for sound: the sum of the channels, so that channels which cancel are silence."""
    return bool(signal.sum(axis=0, dtype=np.float64).any())


def _median(frames: NDArray[np.float64]) -> float | None:
    """Return the median of the frames in which every stem is heard; museval marks the others with NaN."""
    told = frames[~np.isnan(frames)]
    median = float(np.median(np.clip(told, -1e3, 1e3))) if told.size else math.nan
    return None if math.isnan(median) else limit_db(median)


@cache
def _import_metrics() -> Any:
    """Load ``museval/metrics.py`` alone.

    ``import museval`` brings pandas, and stempeg, which raises where the ffmpeg program is not on the path. The metrics
    need numpy and scipy only.
    """
    package = importlib.util.find_spec("museval")
    if package is None or not package.submodule_search_locations:
        raise EngineUnavailable("museval is not installed", hint='pip install "isomix[evaluate]"')
    path = Path(package.submodule_search_locations[0], "metrics.py")
    spec = importlib.util.spec_from_file_location("isomix.evaluation._museval_metrics", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise EngineUnavailable(f"{path} is not there: another museval?", hint="museval 0.4.1 works")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
