"""Networks in PyTorch: which device, which precision, and arrays through a network on them.

The reference runtime. It knows no model: a network is any `torch.nn.Module` from one float tensor to another. What it
changes in torch (inference mode, autocast) is local to the thread and to the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch

from isomix.audio.blocks import Audio
from isomix.domain.options import DeviceErrorPolicy, EngineOptions
from isomix.errors import EngineUnavailable, InvalidOptions, SeparationFailed

MAX_BATCH = 8
"""Segments a call holds at most: more gains little, and delays the first settled audio."""

_DTYPES = {"auto": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def list_devices() -> list[str]:
    """List the devices that torch can use here, the best first.

    Returns
    -------
    list of str

    Examples
    --------
    >>> list_devices()[-1]
    'cpu'
    """
    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]


def choose_device(name: str) -> torch.device:
    """Turn a device's name into a device that is there.

    Parameters
    ----------
    name : str
        ``"auto"`` (CUDA, else MPS, else the CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    Returns
    -------
    torch.device

    Raises
    ------
    EngineUnavailable
        If there is no such device.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    devices = list_devices()
    for device in devices:
        if name in ("auto", device, device.partition(":")[0]):
            return torch.device(device)
    raise EngineUnavailable(
        f"there is no device {name!r}; there are " + ", ".join(devices),
        hint="device='auto' takes the first of them",
        device=name,
        devices=tuple(devices),
    )


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Turn a precision's name into the type a network computes in.

    Parameters
    ----------
    name : {"auto", "float32", "bfloat16", "float16"}
        ``"auto"`` is float32: exact before fast.
    device : torch.device
        Where it is to compute.

    Returns
    -------
    torch.dtype

    Raises
    ------
    InvalidOptions
        If the device cannot compute in it.

    Examples
    --------
    >>> choose_precision("auto", torch.device("cpu"))
    torch.float32
    """
    if name not in _DTYPES or (name == "float16" and device.type == "cpu"):
        raise InvalidOptions(
            f"precision {name!r} is not to be had on {device}", hint="use float32", option="precision", value=name
        )
    return _DTYPES[name]


@contextmanager
def network_mode(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Let a network run for its output alone, at a precision. Other threads are not affected.

    Parameters
    ----------
    device : torch.device
        Where the network is.
    dtype : torch.dtype
        What it computes in; anything but float32 goes through autocast.
    """
    mixed = nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
    with torch.inference_mode(), mixed:
        yield


def prepare(network: torch.nn.Module) -> torch.nn.Module:
    """Make a network ready to run: evaluation mode, no gradients, attention through SDPA.

    `torch.nn.MultiheadAttention` has a native "fast path" that is slower than scaled-dot-product attention. Its only
    documented switch is global; an attention module that believes itself in training, with no dropout, computes the
    same and never takes it.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.

    Returns
    -------
    torch.nn.Module
        The same network.
    """
    network.eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, torch.nn.MultiheadAttention):
            module.training, module.dropout = True, 0.0
    return network


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in str(error)


class TorchRuntime:
    """A device and a precision, and what to do when the device fails. For one thread at a time.

    Parameters
    ----------
    device, precision : str
        As in `choose_device` and `choose_precision`.
    on_device_error : {"raise", "cpu"}
        Whether a failing accelerator is an error, or the work moves to the CPU for good.

    Attributes
    ----------
    device : torch.device
    dtype : torch.dtype

    Examples
    --------
    >>> runtime = TorchRuntime("cpu")
    >>> runtime.run(prepare(torch.nn.Identity()), np.ones((1, 2, 3), np.float32)).shape
    (1, 2, 3)
    """

    def __init__(
        self, device: str = "auto", precision: str = "auto", on_device_error: DeviceErrorPolicy = "raise"
    ) -> None:
        self.device = choose_device(device)
        self.dtype = choose_precision(precision, self.device)
        self._may_fall_back = on_device_error == "cpu"
        self._left: str | None = None

    @classmethod
    def from_options(cls, options: EngineOptions) -> TorchRuntime:
        """Make the runtime a caller asked for."""
        return cls(options.device, options.precision, options.on_device_error)

    @property
    def device_name(self) -> str:
        """The device for the record, with the one that failed if work has moved."""
        return f"{self.device} (after {self._left})" if self._left else str(self.device)

    @property
    def precision_name(self) -> str:
        """``"float32"``, ``"bfloat16"`` or ``"float16"``."""
        return str(self.dtype).removeprefix("torch.")

    def choose_batch_size(self, segment_bytes: int) -> int:
        """Choose how many segments to give the network at once.

        Parameters
        ----------
        segment_bytes : int
            Memory a network needs for one segment, roughly; too low costs a retry, too high some speed.

        Returns
        -------
        int
            One on the CPU, where a batch is slower; on an accelerator what half of the free memory holds.
        """
        if self.device.type != "cuda":
            return 1
        free_bytes, _ = torch.cuda.mem_get_info(self.device)
        return int(np.clip(free_bytes // 2 // segment_bytes, 1, MAX_BATCH))

    def run(self, network: torch.nn.Module, batch: Audio) -> Audio:
        """Run a network on an array.

        A batch that does not fit the device's memory is halved and tried again.

        Parameters
        ----------
        network : torch.nn.Module
            Prepared (see `prepare`); moved to the device if it is elsewhere.
        batch : ndarray of shape (batch, ...), float32
            Left unchanged.

        Returns
        -------
        ndarray of shape (batch, ...), float32

        Raises
        ------
        SeparationFailed
            If the accelerator fails and the work may not move to the CPU.
        """
        try:
            return self._run(network, batch)
        except RuntimeError as error:
            if _is_out_of_memory(error) and len(batch) > 1:
                failure = None
            elif self.device.type == "cpu":
                raise
            else:
                failure = error
        # Outside the handler: its traceback would keep the failed call's memory.
        if failure is None:
            self._empty_cache()
            return np.concatenate([self.run(network, half) for half in np.array_split(batch, 2)])
        self._leave_device(failure)
        return self.run(network, batch)

    def _run(self, network: torch.nn.Module, batch: Audio) -> Audio:
        with network_mode(self.device, self.dtype):
            # A copy: the network may write into it, and the caller's array may be read-only.
            mixture = torch.tensor(batch, device=self.device)
            output: Audio = network.to(self.device)(mixture).float().cpu().numpy()
        return output

    def _empty_cache(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _leave_device(self, failure: RuntimeError) -> None:
        reason = "out of memory" if _is_out_of_memory(failure) else type(failure).__name__
        if not self._may_fall_back:
            raise SeparationFailed(
                f"{self.device} failed: {failure}",
                hint="on_device_error='cpu' lets the work move to the CPU",
                device=str(self.device),
            ) from failure
        self._left = f"{self.device}: {reason}"
        self.device, self.dtype = torch.device("cpu"), torch.float32


class TorchNetwork:
    """A network where it runs: a callable on arrays, for one thread at a time.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place by `prepare`.
    runtime : TorchRuntime
        Where it runs.
    segment_bytes : int
        See `TorchRuntime.choose_batch_size`.

    Examples
    --------
    >>> network = TorchNetwork(torch.nn.Identity(), TorchRuntime("cpu"), segment_bytes=24)
    >>> network(np.ones((1, 2, 3), np.float32)).shape, network.device
    ((1, 2, 3), 'cpu')
    """

    runtime = "torch"

    def __init__(self, network: torch.nn.Module, runtime: TorchRuntime, *, segment_bytes: int) -> None:
        self._network = prepare(network)
        self._runtime = runtime
        self.batch_size = runtime.choose_batch_size(segment_bytes)

    @property
    def device(self) -> str:
        """Where it runs now, and where it ran before that failed."""
        return self._runtime.device_name

    @property
    def precision(self) -> str:
        """``"float32"``, ``"bfloat16"`` or ``"float16"``."""
        return self._runtime.precision_name

    def __call__(self, batch: Audio) -> Audio:
        """Run the network, as `TorchRuntime.run` does."""
        return self._runtime.run(self._network, batch)
