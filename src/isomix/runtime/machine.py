"""What this machine offers a network, found out without importing more than that takes."""

from __future__ import annotations

import resource
import sys
from importlib.util import find_spec
from pathlib import Path

from isomix.domain.options import EngineOptions
from isomix.errors import EngineUnavailable
from isomix.runtime.choice import Choice, Evidence, Machine, choose

_DRIVERS = ("/dev/nvidiactl", "/dev/nvhost-ctrl", "/dev/dxg", "/dev/kfd")
"""What CUDA and ROCm talk to on Linux: a server's, a Jetson's, Windows' (WSL), AMD's."""


def choose_runtime(model: str, options: EngineOptions, evidence: Evidence | None) -> Choice:
    """Decide as `choice.choose` does, for the machine this is.

    Parameters
    ----------
    model : str
        Its name.
    options : EngineOptions
        What is asked for.
    evidence : Evidence or None
        What is known of the model in OpenVINO.

    Returns
    -------
    Choice

    Raises
    ------
    EngineUnavailable, InvalidOptions
        As in `choice.choose`.

    Examples
    --------
    >>> choose_runtime("spleeter:2stems", EngineOptions(runtime="torch"), None)
    Choice(runtime='torch', precision='float32')
    """
    may_be_openvino = options.runtime != "torch" and evidence is not None
    return choose(model, options, evidence, look(options) if may_be_openvino else Machine())


def look(options: EngineOptions) -> Machine:
    """Find out what there is, as far as these options leave it open.

    Parameters
    ----------
    options : EngineOptions
        ``device`` and ``runtime`` count.

    Returns
    -------
    Machine
    """
    has_openvino = find_spec("openvino") is not None
    is_open = options.device == "auto" and options.runtime == "auto" and has_openvino
    has_bfloat16 = False
    if has_openvino and options.device in ("auto", "cpu"):
        from isomix.runtime.openvino import has_bfloat16 as ask_openvino

        has_bfloat16 = ask_openvino()
    return Machine(has_accelerator=is_open and has_accelerator(), has_openvino=has_openvino, has_bfloat16=has_bfloat16)


def has_accelerator() -> bool:
    """Tell whether torch would choose another device than the CPU.

    Torch takes seconds to import; where there is no driver for it to find, it is not asked.
    """
    if sys.platform == "linux" and not any(Path(driver).exists() for driver in _DRIVERS):
        return False
    from isomix.runtime.torch import list_devices

    return list_devices()[0] != "cpu"


def check_device(options: EngineOptions) -> None:
    """Refuse a device that is not there, before anything is fetched for it. What OpenVINO runs on, it says itself.

    Raises
    ------
    EngineUnavailable
        Naming the devices that are there.

    Examples
    --------
    >>> check_device(EngineOptions(device="cpu"))
    """
    if options.device in ("auto", "cpu") or options.runtime == "openvino":
        return
    try:
        from isomix.runtime.torch import choose_device
    except ImportError as error:
        raise EngineUnavailable(
            f"there is no device {options.device!r}: PyTorch, which would know it, is not installed",
            hint="device='cpu' needs none",
            device=options.device,
            devices=("cpu",),
        ) from error
    choose_device(options.device)


def get_resident_bytes() -> int:
    """Return the memory that this process holds now, in bytes; where the system does not tell, what it held at most.

    Returns
    -------
    int
    """
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        return int(statistics.read_text().split()[1]) * resource.getpagesize()
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
