"""Networks in OpenVINO, the fast runtime on a CPU: converted once, then loaded from a file in a fraction of a second.

A network's core (everything but its Fourier transforms) is traced by torch, converted, compiled for one precision and
cached in a file. The next time that file is enough: neither torch nor the weights are needed for the core.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from isomix._version import __version__
from isomix.audio.blocks import Audio
from isomix.errors import EngineUnavailable
from isomix.runtime.cache import read_cached, write_cached

if TYPE_CHECKING:
    import torch

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_TELEMETRY = "openvino_telemetry"


@attrs.frozen(kw_only=True, eq=False)
class Recipe:
    """A network's core: how to make it, and all that its outcome depends on.

    Parameters
    ----------
    name : str
        Fit for a file's name.
    weights : sequence of str
        Digests of the weights.
    shapes : sequence of tuple of int
        Shapes of its inputs, float32; they are fixed.
    build : callable
        Returns the module, on the CPU, in evaluation mode. Called only if there is no converted file.
    exact : sequence of str
        Names of parts of the module that compute in float32 whatever the precision: those whose rounding costs most.
    form : int
        Changes whenever the same weights are built into other arithmetic, so that nothing cached before is taken.
    """

    name: str
    weights: Sequence[str | None]
    shapes: Sequence[tuple[int, ...]]
    build: Callable[[], torch.nn.Module]
    exact: Sequence[str] = ()
    form: int = 1


class OpenVinoNetwork:
    """A compiled network: a callable on arrays, safe to call from several threads.

    Parameters
    ----------
    compiled : openvino.CompiledModel
        What to run.
    precision : {"float32", "bfloat16"}
        What it computes in.
    """

    runtime = "openvino"
    device = "cpu"
    batch_size = 1

    def __init__(self, compiled: Any, precision: str) -> None:
        self.precision = precision
        self._compiled = compiled
        self._tensor = import_openvino().Tensor
        self._shapes = [tuple(output.shape) for output in compiled.outputs]

    def __call__(self, batch: Audio) -> Audio:
        """Run a network of one input and one output on each item of a batch.

        Parameters
        ----------
        batch : ndarray of shape (batch, ...), float32

        Returns
        -------
        ndarray of shape (batch, ...), float32
        """
        outputs = [self.run(batch[item : item + 1])[0] for item in range(len(batch))]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def run(self, *inputs: Audio) -> list[Audio]:
        """Run it once.

        Parameters
        ----------
        *inputs : ndarray, float32
            Of the recipe's shapes; left unchanged.

        Returns
        -------
        list of ndarray, float32
            New arrays, one per output.
        """
        # A request holds no memory of its own to speak of: each call has one, and no call waits for another's arrays.
        request = self._compiled.create_infer_request()
        # OpenVINO shares these arrays without holding them: they have to outlive the request.
        given = [_writable(array) for array in inputs]
        outputs = [np.empty(shape, np.float32) for shape in self._shapes]
        for position, array in enumerate(given):
            request.set_input_tensor(position, self._tensor(array, shared_memory=True))
        for position, array in enumerate(outputs):
            request.set_output_tensor(position, self._tensor(array, shared_memory=True))
        request.infer()
        return outputs


def open_network(recipe: Recipe, precision: str, folder: Path, *, threads: int | None = None) -> OpenVinoNetwork:
    """Load a compiled network, or make it if it is not there.

    Parameters
    ----------
    recipe : Recipe
        Which.
    precision : {"float32", "bfloat16"}
        What it is to compute in.
    folder : Path
        Where compiled networks are cached.
    threads : int, optional
        Threads of one call; None for as many as this process has CPUs.

    Returns
    -------
    OpenVinoNetwork

    Raises
    ------
    EngineUnavailable
        If OpenVINO is missing, or cannot convert or compile the network.
    """
    core = import_openvino().Core()
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        # Without it, OpenVINO computes in bfloat16 wherever the CPU can.
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads or _count_cpus(),
        # Two processes that pin their threads would pin them to the same CPUs.
        "ENABLE_CPU_PINNING": False,
    }
    path = folder / f"{recipe.name}-{precision}-{_identify(recipe, precision, core)}.compiled"
    with _translated(recipe.name):
        compiled = _load(core, path, properties) or _make(core, recipe, path, properties)
    return OpenVinoNetwork(compiled, precision)


def identify(recipe: Recipe, precision: str) -> str:
    """Return what tells a network on this machine, with these versions and this precision, from every other.

    Parameters
    ----------
    recipe : Recipe
        Which.
    precision : {"float32", "bfloat16"}
        What it is to compute in.

    Raises
    ------
    EngineUnavailable
        If OpenVINO is missing.
    """
    return _identify(recipe, precision, import_openvino().Core())


def has_bfloat16() -> bool:
    """Tell whether this CPU computes in bfloat16 natively.

    Raises
    ------
    EngineUnavailable
        If OpenVINO is missing.
    """
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def import_openvino() -> Any:
    """Import OpenVINO, without the package that it reports its use with.

    Raises
    ------
    EngineUnavailable
        If it is missing.
    """
    is_first = "openvino" not in sys.modules and _TELEMETRY not in sys.modules
    if is_first:
        # OpenVINO asks nobody before it tells its makers that it was imported. It takes that package as missing, and
        # for good, if the package is missing when it looks for it.
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise EngineUnavailable(
            f"OpenVINO cannot be imported: {error}", hint='pip install "isomix[openvino]"'
        ) from error
    finally:
        if is_first:
            sys.modules.pop(_TELEMETRY, None)
    return openvino


def _load(core: Any, path: Path, properties: dict[str, Any]) -> Any:
    """Return a cached network, or None if there is none that can be used."""
    content = read_cached(path)
    if content is None:
        return None
    try:
        return _import(core, content, properties)
    except RuntimeError:
        return None


def _make(core: Any, recipe: Recipe, path: Path, properties: dict[str, Any]) -> Any:
    """Convert and compile a network, and cache it."""
    compiled = core.compile_model(_keep_exact(core, _convert(recipe), recipe.exact), "CPU", properties)
    content = compiled.export_model().getbuffer()
    write_cached(path, content)
    # Not the compiled one: it would hold on to torch's memory, and the first time would not be like the others.
    return _import(core, np.frombuffer(content, np.uint8), properties)


def _import(core: Any, content: NDArray[np.uint8], properties: dict[str, Any]) -> Any:
    # A copy, which OpenVINO owns: it reads on after the call, and would not keep a mapped file mapped.
    return core.import_model(import_openvino().Tensor(content), "CPU", properties)


def _convert(recipe: Recipe) -> Any:
    """Turn a module into OpenVINO's form, for its shapes alone."""
    import torch

    module = recipe.build()
    example = tuple(torch.zeros(shape) for shape in recipe.shapes)
    # Both warn about themselves: torch that tracing is old, OpenVINO that it uses it.
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # Unchecked: torch's check runs the network twice more, and takes three quarters of the time.
        traced = torch.jit.trace(module, example, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
        model = import_openvino().convert_model(traced, example_input=example)
    model.reshape({position: list(shape) for position, shape in enumerate(recipe.shapes)})
    return model


def _keep_exact(core: Any, model: Any, parts: Sequence[str]) -> Any:
    """Mark the operations of these parts of the module as float32."""
    if not parts:
        return model
    names = re.compile("|".join(rf"\b{re.escape(part)}\b" for part in parts))
    for operation in model.get_ordered_ops():
        if operation.get_type_name() != "Constant" and names.search(operation.get_friendly_name()):
            operation.get_rt_info()["precise_0"] = ""
    # OpenVINO's own mark is made of that name, which is all that Python can set, when a model is read.
    with tempfile.TemporaryDirectory() as folder:
        graph, constants = Path(folder, "model.xml"), Path(folder, "model.bin")
        import_openvino().serialize(model, graph, constants)
        return core.read_model(graph.read_bytes(), constants.read_bytes())


def _identify(recipe: Recipe, precision: str, core: Any) -> str:
    """Return what tells apart networks that are not interchangeable."""
    cpu = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    facts = [
        recipe.weights,
        recipe.shapes,
        recipe.exact,
        recipe.form,
        precision,
        __version__,
        version("openvino"),
        version("torch"),
        cpu,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EngineUnavailable(
            f"OpenVINO cannot run {name}: {error}", hint="runtime='torch' can", model=name
        ) from error


def _writable(array: Audio) -> Audio:
    """Return an array that OpenVINO can share: in order, and not marked read-only, though it will not be written."""
    return np.require(array, np.float32, ["C", "W"])


def _count_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
