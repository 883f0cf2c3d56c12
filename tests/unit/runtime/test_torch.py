"""Devices, precisions, and what happens when a device fails; without an accelerator."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import torch

from isomix.errors import EngineUnavailable, InvalidOptions, SeparationFailed
from isomix.runtime.torch import TorchRuntime, choose_device, choose_precision, list_devices, network_mode, prepare


def test_auto_takes_the_first_device_that_is_there() -> None:
    """The list of devices is in order of preference and ends with the CPU."""
    assert str(choose_device("auto")) == list_devices()[0]
    assert list_devices()[-1] == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "", "cpu:1"])
def test_a_device_that_is_not_there_is_refused_by_naming_those_that_are(name: str) -> None:
    """The error lists what could be used instead."""
    with pytest.raises(EngineUnavailable, match="cpu") as caught:
        choose_device(name)
    assert caught.value.facts["devices"] == tuple(list_devices())


def test_auto_precision_is_exact() -> None:
    """Unless told otherwise, a network computes in float32."""
    assert choose_precision("auto", torch.device("cpu")) == torch.float32
    assert choose_precision("bfloat16", torch.device("cpu")) == torch.bfloat16


@pytest.mark.parametrize("name", ["float16", "float8"])
def test_a_precision_the_cpu_lacks_is_refused(name: str) -> None:
    """Half precision on the CPU is bfloat16 or nothing."""
    with pytest.raises(InvalidOptions, match=name):
        choose_precision(name, torch.device("cpu"))


def test_network_mode_ends_with_the_call() -> None:
    """Gradients and autocast are as before, whatever happened inside."""
    seen = []
    with suppress(ZeroDivisionError), network_mode(torch.device("cpu"), torch.bfloat16):
        seen += [torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")]
        raise ZeroDivisionError
    assert [*seen, torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")] == [True, True, False, False]


def test_prepared_attention_leaves_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention computes what it did, without the native kernel and without touching the global switch."""

    def native(*_: object) -> None:
        raise AssertionError("the fast path was taken")

    torch.manual_seed(0)
    attention = torch.nn.MultiheadAttention(64, 4, dropout=0.3, batch_first=True).eval()
    tokens = torch.randn(2, 100, 64)
    with torch.inference_mode():
        fast = attention(tokens, tokens, tokens, need_weights=False)[0]
        monkeypatch.setattr(torch, "_native_multi_head_attention", native)
        with pytest.raises(AssertionError, match="fast path"):
            attention(tokens, tokens, tokens, need_weights=False)
        prepared = prepare(attention)(tokens, tokens, tokens, need_weights=False)[0]
    torch.testing.assert_close(prepared, fast)
    assert torch.backends.mha.get_fastpath_enabled()


class Crowded(torch.nn.Module):
    """Doubles its input, as long as the batch is small enough."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.seen: list[int] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(batch))
        if len(batch) > self.most:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return 2 * batch


def test_a_batch_that_does_not_fit_is_halved() -> None:
    """Halves are tried until they fit, and come back in order."""
    batch = np.arange(7, dtype=np.float32)[:, None]
    network = Crowded(most=2)
    np.testing.assert_array_equal(TorchRuntime("cpu").run(network, batch), 2 * batch)
    assert max(size for size in network.seen if size <= 2) == 2


def test_a_single_segment_that_does_not_fit_is_an_error() -> None:
    """On the CPU there is nowhere left to go."""
    with pytest.raises(torch.cuda.OutOfMemoryError):
        TorchRuntime("cpu").run(Crowded(most=0), np.ones((1, 1), np.float32))


class Broken(torch.nn.Module):
    """Works on the CPU only."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if batch.device.type != "cpu":
            raise RuntimeError("device-side assert")
        return batch


def on_meta(runtime: TorchRuntime) -> TorchRuntime:
    """Give a runtime an accelerator that is always there and never works."""
    runtime.device = torch.device("meta")
    return runtime


def test_a_failing_accelerator_is_an_error_unless_told_otherwise() -> None:
    """The error names the device, and the option that would have helped."""
    with pytest.raises(SeparationFailed, match="device-side assert") as caught:
        on_meta(TorchRuntime("cpu", on_device_error="raise")).run(Broken(), np.ones((1, 1), np.float32))
    assert "on_device_error" in caught.value.hint


def test_work_moves_to_the_cpu_when_asked_and_says_so() -> None:
    """The batch is done, the record tells which device was left and why, and it stays that way."""
    runtime = on_meta(TorchRuntime("cpu", on_device_error="cpu"))
    batch = np.ones((2, 1), np.float32)
    np.testing.assert_array_equal(runtime.run(Broken(), batch), batch)
    assert runtime.device_name == "cpu (after meta: RuntimeError)"
    assert runtime.precision_name == "float32"


def test_read_only_input_is_taken_and_left_alone() -> None:
    """A network that writes into its input writes into a copy."""

    class InPlace(torch.nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch.add_(1)

    batch = np.zeros((1, 3), np.float32)
    batch.flags.writeable = False
    assert TorchRuntime("cpu").run(InPlace(), batch).tolist() == [[1, 1, 1]]
    assert not batch.any()


def test_one_segment_at_a_time_on_the_cpu() -> None:
    """Batches are for accelerators."""
    assert TorchRuntime("cpu").choose_batch_size(1) == 1
