"""What a machine is asked before anything is fetched for it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import isomix
from isomix.domain.options import EngineOptions
from isomix.errors import EngineUnavailable
from isomix.runtime.machine import check_device


@pytest.mark.parametrize("model", ["hpss", "spleeter:2stems", "htdemucs", "hf://nobody/nothing"])
def test_a_device_that_is_not_there_is_told_before_weights_are_looked_for(model: str, tmp_path: Path) -> None:
    """Every model of isomix's own names the devices that there are, not the weights that it lacks as well."""
    with pytest.raises(EngineUnavailable) as caught:
        isomix.Separator(model, device="cuda:99", weights_dir=tmp_path, offline=True)
    assert "cpu" in caught.value.facts["devices"]


def test_a_plan_for_a_device_that_is_not_there_is_refused() -> None:
    """A model that computes on the CPU whatever is asked for is no exception."""
    with pytest.raises(EngineUnavailable, match="cuda:99"):
        isomix.plan((np.zeros((2, 8000), np.float32), 8000), "hpss", device="cuda:99")


def test_without_torch_there_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that only torch could know is not there where torch is not installed."""
    monkeypatch.setitem(sys.modules, "isomix.runtime.torch", None)
    with pytest.raises(EngineUnavailable, match="PyTorch"):
        check_device(EngineOptions(device="cuda"))
