"""A guess at time and memory where nothing was measured: the catalogue's relative cost, scaled by this machine's speed.

It may be wrong by a factor of two or three, and says so: its estimates are marked ``"rough"``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs
import numpy as np

from isomix.planning.leaves import Leaf
from isomix.planning.needs import Setting
from isomix.planning.networks import Network

UNIT_GFLOP = 4.0
"""What ``spleeter:2stems`` in torch takes for a second of audio, in the time that a product of matrices takes as many
thousand million operations. Measured once, on two cores of an AMD EPYC."""

_SPEEDUPS = {("openvino", "float32"): 1.4, ("openvino", "bfloat16"): 2.4, ("openvino", None): 1.8}
"""Against torch in float32 on the same CPU (docs/performance.md)."""
_ACCELERATOR_SPEEDUP = 20.0
_LOAD_SECONDS = {"torch": 1.5, "openvino": 0.5}
_RUNTIME_BYTES = {"torch": 330e6, "openvino": 120e6}
_BASE_BYTES = 110e6
_WEIGHT_COPIES = 2
_BYTES_PER_SAMPLE = 60.0
"""Working memory of a network for each sample of a segment, for each unit of its cost."""
_MATRIX = 512
_SCORE_SECONDS = 0.1


@attrs.frozen
class Rough:
    """A guess.

    Parameters
    ----------
    load_seconds, seconds_per_second : float
        To open the model; to separate, per second of audio that its networks are given.
    peak_bytes : int
        Highest memory of the process, without stems kept in memory.
    fixed_seconds : float
        What a separation takes whatever its length.
    """

    load_seconds: float
    seconds_per_second: float
    peak_bytes: int
    fixed_seconds: float = 0.0


def guess(leaves: Sequence[Leaf], networks: Sequence[Network], settings: Sequence[Setting]) -> Rough | None:
    """Guess from what the specs say of their cost.

    Parameters
    ----------
    leaves : sequence of Leaf
        The models that will be opened.
    networks : sequence of Network
        What they will run.
    settings : sequence of Setting
        Where each of the models will run.

    Returns
    -------
    Rough or None
        None where a model does not say what it costs.
    """
    costs = [_get_cost(leaf, networks) for leaf in leaves]
    if not costs or None in costs:
        return None
    known = [cost or 0.0 for cost in costs]
    slopes = [cost * UNIT_GFLOP / _speedup(setting) for cost, setting in zip(known, settings, strict=True)]
    runtimes = {setting.runtime or "torch" for setting in settings}
    return Rough(
        load_seconds=0.5 + sum(_LOAD_SECONDS.get(runtime, 0.0) for runtime in runtimes),
        seconds_per_second=sum(slopes) / len(networks) / measure_gflops(),
        peak_bytes=round(
            _BASE_BYTES
            + sum(_RUNTIME_BYTES.get(runtime, 0.0) for runtime in runtimes)
            + sum(_count_working_bytes(leaf, cost) for leaf, cost in zip(leaves, known, strict=True))
        ),
    )


def _get_cost(leaf: Leaf, networks: Sequence[Network]) -> float | None:
    """Return a model's cost; of a bag that of the networks that will run."""
    cost, spec = leaf.spec.cpu_cost, leaf.spec
    if cost is None:
        return None
    count = len({network.name for network in networks if network.model == spec.name})
    whole = len(spec.published.files) if spec.published else 1
    return cost * min(count / whole, 1.0)


def _speedup(setting: Setting) -> float:
    if setting.device not in (None, "cpu"):
        return _ACCELERATOR_SPEEDUP
    return _SPEEDUPS.get((setting.runtime or "", setting.precision), 1.0)


def _count_working_bytes(leaf: Leaf, cost: float) -> float:
    weights = leaf.spec.download_bytes or (leaf.spec.weights.size_bytes if leaf.spec.weights else 0)
    samples = leaf.spec.segmentation.length * leaf.spec.channels
    return _WEIGHT_COPIES * weights + _BYTES_PER_SAMPLE * cost * samples


def measure_gflops() -> float:
    """Return how many thousand million operations a second products of matrices reach here, in a tenth of a second."""
    matrix = np.ones((_MATRIX, _MATRIX), np.float32)
    best, started = np.inf, time.perf_counter()
    while time.perf_counter() - started < _SCORE_SECONDS:
        begun = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - begun)
    return 2 * _MATRIX**3 / best / 1e9
