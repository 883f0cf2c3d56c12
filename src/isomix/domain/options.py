"""How an engine is to be opened, checked once at birth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypedDict

import attrs

from isomix.domain.progress import Progress
from isomix.errors import InvalidOptions

Precision = Literal["auto", "float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16", "float16")
Runtime = Literal["auto", "torch", "openvino"]
RUNTIMES: tuple[Runtime, ...] = ("auto", "torch", "openvino")
DeviceErrorPolicy = Literal["raise", "cpu"]
LicencePolicy = Literal["any", "commercial"]
LICENCE_POLICIES: tuple[LicencePolicy, ...] = ("any", "commercial")


def _refuse(attribute: attrs.Attribute[Any], value: object, rule: str) -> InvalidOptions:
    name = attribute.name
    return InvalidOptions(f"{name} must be {rule}, not {value!r}", option=name, value=value)


def _overlap(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not (isinstance(value, int | float) and 0 <= value < 1):
        raise _refuse(attribute, value, "a fraction of a segment, at least 0 and below 1")


def _at_least(minimum: int) -> Callable[[object, attrs.Attribute[Any], int | None], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < minimum):
            raise _refuse(attribute, value, f"an integer of at least {minimum}")

    return check


def _one_of(*allowed: str) -> Callable[[object, attrs.Attribute[Any], str], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in allowed:
            raise _refuse(attribute, value, "one of " + ", ".join(map(repr, allowed)))

    return check


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


@attrs.frozen(kw_only=True)
class EngineOptions:
    """What a caller asks of an engine.

    Parameters
    ----------
    stems : tuple of str, optional
        The engine's own stems that are wanted; None for all. An engine may skip work that no wanted stem needs.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision : {"auto", "float32", "bfloat16", "float16"}
        Arithmetic of the network; ``"auto"`` is float32, or bfloat16 where the CPU has it and the model's error in it
        was measured and is small.
    runtime : {"auto", "torch", "openvino"}
        What runs the network; ``"auto"`` is OpenVINO on a CPU where it is installed and proven for the model.
    overlap : float, optional
        Fraction of a segment shared with the next, ``0 <= overlap < 1``; None for the model's own.
    shifts : int
        Number of passes over randomly shifted input whose outputs are averaged; 0 for one unshifted pass.
    seed : int
        Seed of the shifts.
    batch_size : int, optional
        Segments per network call; None lets the engine choose.
    on_device_error : {"raise", "cpu"}
        Whether a failing accelerator is an error or the work moves to the CPU.
    repo : path, optional
        A file or folder with weights that the user keeps; it replaces every other source.
    keep : bool
        Copy what ``repo`` has into the weights folder, where it is found without ``repo`` from then on.
    weights_dir : path, optional
        The folder where downloaded weights live; None for the environment's or the platform's cache folder.
    offline : bool
        Never touch the network.
    trust_pickle : bool
        Load weight files that could run code.
    licence : {"any", "commercial"}
        ``"commercial"`` refuses models that are not known to allow commercial use, before anything is downloaded.
    on_progress : callable, optional
        Told about downloads while the engine opens.

    Raises
    ------
    InvalidOptions
        If a value is outside its range.

    Examples
    --------
    >>> EngineOptions(overlap=0.5).overlap
    0.5
    """

    stems: tuple[str, ...] | None = None
    device: str = "auto"
    precision: Precision = attrs.field(default="auto", validator=_one_of(*PRECISIONS))
    runtime: Runtime = attrs.field(default="auto", validator=_one_of(*RUNTIMES))
    overlap: float | None = attrs.field(default=None, validator=_overlap)
    shifts: int = attrs.field(default=0, validator=_at_least(0))
    seed: int = attrs.field(default=0, validator=_at_least(0))
    batch_size: int | None = attrs.field(default=None, validator=_at_least(1))
    on_device_error: DeviceErrorPolicy = attrs.field(default="raise", validator=_one_of("raise", "cpu"))
    repo: Path | None = attrs.field(default=None, converter=_path)
    keep: bool = False
    weights_dir: Path | None = attrs.field(default=None, converter=_path)
    offline: bool = False
    trust_pickle: bool = False
    licence: LicencePolicy = attrs.field(default="any", validator=_one_of(*LICENCE_POLICIES))
    on_progress: Callable[[Progress], None] | None = attrs.field(default=None, eq=False, repr=False)


class EngineChoices(TypedDict, total=False):
    """The fields of `EngineOptions` that callers set, as keyword arguments."""

    device: str
    precision: Precision
    runtime: Runtime
    overlap: float | None
    shifts: int
    seed: int
    batch_size: int | None
    on_device_error: DeviceErrorPolicy
    repo: str | Path | None
    weights_dir: str | Path | None
    offline: bool
    trust_pickle: bool
    licence: LicencePolicy
