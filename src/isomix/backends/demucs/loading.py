"""A file of weights becomes a network, without letting the file run code.

Demucs' files name the class of their network and the arguments to build it with: a pickle (``.th``) by reference, a
safetensors file as text. Both could name anything that is importable. Here only Demucs' own networks are built.
"""

from __future__ import annotations

import inspect
import json
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.hf import _decode_json, _unflatten_state
from demucs.htdemucs import HTDemucs
from demucs.states import set_state
from safetensors import SafetensorError, safe_open
from torch.overrides import TorchFunctionMode

from isomix.errors import EngineUnavailable, WeightsUnavailable

NETWORKS = (Demucs, HDemucs, HTDemucs)
_QUANTISERS = ("diffq.diffq.DiffQuantizer", "diffq.uniform.UniformQuantizer")
_FILLS = ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_")
_lock = threading.Lock()


@attrs.frozen
class Package:
    """What a file of weights holds: how to build the network, and its state.

    Parameters
    ----------
    path : Path
        The file.
    network : callable
        The network's class.
    arguments : mapping of str to object
        What to build it with.
    state : mapping
        Its weights.
    """

    path: Path
    network: Callable[..., torch.nn.Module]
    arguments: Mapping[str, Any]
    state: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def stems(self) -> tuple[str, ...]:
        """The network's stems, in its order."""
        return tuple(self.arguments["sources"])

    @property
    def sample_rate(self) -> int:
        """The network's rate, in Hz."""
        return int(self.arguments["samplerate"])

    @property
    def channels(self) -> int:
        """Channels in and out."""
        return int(self.arguments["audio_channels"])

    def segment_seconds(self, override: float | None) -> float | Fraction:
        """Return what the network sees at once, as a bag may override it (demucs 4.1, ``BagOfModels``).

        Parameters
        ----------
        override : float, optional
            The bag's, in seconds. A transformer's segment can be shortened, not lengthened.
        """
        own: float | Fraction = self.arguments["segment"]
        if override is None or (self.network is HTDemucs and override > own):
            return own
        return override

    def build(self) -> torch.nn.Module:
        """Return the network with its weights, float32, on the CPU.

        Raises
        ------
        WeightsUnavailable
            If the state does not fit the network.
        EngineUnavailable
            If a package that the network needs is missing.
        """
        if self.state.get("__quantized") and find_spec("diffq") is None:
            raise EngineUnavailable(
                f"{self.path.name} is quantised, and diffq is not installed", hint='pip install "demucs[quantized]"'
            )
        try:
            with _Unfilled():
                network = self.network(**self.arguments)
            set_state(network, dict(self.state))
        except ImportError as error:
            raise EngineUnavailable(f"{self.path.name} needs more than Demucs: {error}") from error
        except Exception as error:
            raise _refused(self.path, f"its weights do not fit its network: {error}") from error
        return network.float()


class _Unfilled(TorchFunctionMode):
    """Builds networks without random weights: no time goes into them, and torch's random state stays as it is.

    Building on the meta device would do as much, but there torch first imports its compiler, for a second.
    """

    def __torch_function__(
        self, function: Callable[..., Any], _: object, arguments: Sequence[Any] = (), names: Any = None
    ) -> Any:
        named = names or {}
        if getattr(function, "__name__", "") in _FILLS:
            return (*arguments, *named.values())[0]
        return function(*arguments, **named)


def read_package(path: Path, *, trust_pickle: bool = False) -> Package:
    """Read a file of weights.

    Parameters
    ----------
    path : Path
        A ``.th`` or ``.safetensors`` file as Demucs writes it.
    trust_pickle : bool
        Let a pickle run what it names.

    Returns
    -------
    Package

    Raises
    ------
    WeightsUnavailable
        If the file is damaged, or names more than Demucs' own networks.
    """
    document = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path, trust_pickle)
    try:
        network = document["klass"]
        if network not in NETWORKS and not trust_pickle:
            raise _refused(path, f"{network!r} is not one of Demucs' networks", hint=_TRUST)
        package = Package(path, network, _arguments(network, document), document["state"])
        if not (package.stems and package.sample_rate > 0 and package.segment_seconds(None) > 0):
            raise TypeError("its facts make no sense")
        return package
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refused(path, f"it is not a Demucs network: {type(error).__name__}: {error}") from error


_TRUST = "trust_pickle=True lets the file run any code; only for a file whose maker you trust"


def _refused(path: Path, reason: str, *, hint: str = "") -> WeightsUnavailable:
    return WeightsUnavailable(f"{path} was not loaded: {reason}", hint=hint, path=path)


def _arguments(network: Callable[..., object], document: Mapping[str, Any]) -> dict[str, Any]:
    """Bind the arguments to names, without those that this version of the network no longer has."""
    signature = inspect.signature(network)
    known = {name: value for name, value in document["kwargs"].items() if name in signature.parameters}
    bound = signature.bind(*document["args"], **known)
    bound.apply_defaults()
    return bound.arguments


def _read_pickle(path: Path, trust_pickle: bool) -> Any:
    try:
        if trust_pickle:
            return torch.load(path, "cpu", weights_only=False)
        with _lock:
            allowed = {Fraction, *NETWORKS, *_quantisers()} - set(torch.serialization.get_safe_globals())
            with torch.serialization.safe_globals(list(allowed)):
                return torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, f"it holds more than weights, or is damaged: {_gist(error)}", hint=_TRUST) from error
    except Exception as error:
        raise _refused(path, f"it cannot be read: {type(error).__name__}: {error}") from error


def _gist(error: Exception) -> str:
    """Return what was refused, without the advice that torch wraps it in."""
    lines = str(error.__context__ or error).strip().splitlines()
    return (lines or [type(error).__name__])[0].split(". ")[0].rstrip(".")


def _quantisers() -> list[Any]:
    if find_spec("diffq") is None:
        return []
    import diffq

    return [diffq.DiffQuantizer, diffq.UniformQuantizer]


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        named = {f"{network.__module__}.{network.__name__}": network for network in NETWORKS}
        structure = json.loads(facts.get("structure", "null"))
        return {
            "klass": named.get(facts["klass"], facts["klass"]),
            "args": _decode_json(json.loads(facts["args"])),
            "kwargs": _decode_json(json.loads(facts["kwargs"])),
            "state": state if structure is None else _unflatten_state(state, _vetted(structure)),
        }
    except (SafetensorError, OSError, KeyError, ValueError, ImportError, AttributeError) as error:
        raise _refused(path, f"it cannot be read: {type(error).__name__}: {error}") from error


def _vetted(node: Any) -> Any:
    """Return a state's structure if the only classes it names are diffq's quantisers."""
    if isinstance(node, dict) and "_class" in node and node["_class"] not in _QUANTISERS:
        raise ValueError(f"it names {node['_class']!r}")
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _vetted(child)
    return node
