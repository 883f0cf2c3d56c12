"""Which runtime runs a model, and in which precision: the one place that decides. It looks at nothing by itself."""

from __future__ import annotations

import attrs

from isomix.domain.options import EngineOptions
from isomix.errors import EngineUnavailable, InvalidOptions, IsomixError

MAX_ERROR_DB = -45.0
"""What ``precision="auto"`` may cost: the power of a stem's error against the stem's own."""


@attrs.frozen(kw_only=True)
class Evidence:
    """What was measured of a model in OpenVINO, against torch in float32.

    Parameters
    ----------
    is_proven : bool
        Its float32 output equals torch's to 90 dB at least.
    bfloat16_error_db : float, optional
        Power of the error of its worst stem in bfloat16, against the stem's own, with the real weights on real
        music; None if that was not measured.
    """

    is_proven: bool = False
    bfloat16_error_db: float | None = None


@attrs.frozen(kw_only=True)
class Machine:
    """What there is to choose from.

    Parameters
    ----------
    has_accelerator : bool
        Torch would compute elsewhere than on the CPU.
    has_openvino : bool
        OpenVINO is installed.
    has_bfloat16 : bool
        The CPU computes in bfloat16 natively, says OpenVINO.
    """

    has_accelerator: bool = False
    has_openvino: bool = False
    has_bfloat16: bool = False


@attrs.frozen
class Choice:
    """What was chosen.

    Parameters
    ----------
    runtime : {"torch", "openvino"}
    precision : {"float32", "bfloat16", "float16"}
    """

    runtime: str
    precision: str


def choose(model: str, options: EngineOptions, evidence: Evidence | None, machine: Machine) -> Choice:
    """Decide.

    What is asked for by name is given or refused. ``runtime="auto"`` is OpenVINO where the work stays on the CPU and
    the model is proven in it, else torch. ``precision="auto"`` is float32, but bfloat16 in OpenVINO on a CPU that has
    it, for a model whose error in it is known and below `MAX_ERROR_DB`.

    Parameters
    ----------
    model : str
        Its name, for errors.
    options : EngineOptions
        ``runtime``, ``precision`` and ``device`` count.
    evidence : Evidence or None
        None for a model that OpenVINO cannot run at all.
    machine : Machine
        Where it is to run.

    Returns
    -------
    Choice

    Raises
    ------
    EngineUnavailable
        If OpenVINO is asked for and is not installed.
    InvalidOptions
        If OpenVINO is asked for together with what it cannot do.

    Examples
    --------
    >>> evidence = Evidence(is_proven=True, bfloat16_error_db=-60)
    >>> choose("m", EngineOptions(), evidence, Machine(has_openvino=True, has_bfloat16=True))
    Choice(runtime='openvino', precision='bfloat16')
    """
    torch = Choice("torch", "float32" if options.precision == "auto" else options.precision)
    refusal = _refuse(model, options, evidence, machine)
    if options.runtime == "torch":
        return torch
    if options.runtime == "openvino" and refusal:
        raise refusal
    on_cpu = options.device == "cpu" or not machine.has_accelerator
    if evidence is None or refusal or not (options.runtime == "openvino" or (evidence.is_proven and on_cpu)):
        return torch
    if options.precision != "auto":
        return Choice("openvino", options.precision)
    error_db = evidence.bfloat16_error_db
    is_close = machine.has_bfloat16 and error_db is not None and error_db < MAX_ERROR_DB
    return Choice("openvino", "bfloat16" if is_close else "float32")


def _refuse(model: str, options: EngineOptions, evidence: Evidence | None, machine: Machine) -> IsomixError | None:
    """Return why OpenVINO cannot do what is asked for, if so."""
    if evidence is None:
        return InvalidOptions(f"OpenVINO cannot run {model}", option="runtime", value=options.runtime)
    if options.device not in ("auto", "cpu"):
        return InvalidOptions(
            f"OpenVINO runs on the CPU, not on {options.device}", option="device", value=options.device
        )
    if not machine.has_openvino:
        return EngineUnavailable(
            f"OpenVINO is not installed, which {model} is to run in",
            hint='pip install "isomix[openvino]"',
            model=model,
        )
    if options.precision == "float16" or (options.precision == "bfloat16" and not machine.has_bfloat16):
        return InvalidOptions(
            f"this CPU does not compute in {options.precision}",
            hint="use float32",
            option="precision",
            value=options.precision,
        )
    return None
