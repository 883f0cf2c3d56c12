"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from isomix.domain.options import EngineOptions
from isomix.errors import EngineUnavailable, WeightsUnavailable

REFERENCE = Path(__file__).resolve().parents[1].parent / "shared" / "reference"


@pytest.fixture(scope="session")
def reference() -> Path:
    """Return the folder of reference recordings, which lies beside the checkout and not in it."""
    if not REFERENCE.is_dir():
        pytest.skip("the reference recordings are not beside this checkout")
    return REFERENCE


@pytest.fixture(scope="session")
def spleeter_weights() -> Path:
    """Return the real 2stems weights in the default store, pulled there once."""
    from isomix.backends.spleeter.opening import get_weights  # it brings safetensors with it

    try:
        return get_weights("spleeter:2stems", EngineOptions())
    except WeightsUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the weights cannot be had here: {error.message}")


@pytest.fixture(scope="session")
def openvino() -> Any:
    """Return OpenVINO, which an installation can do without."""
    from isomix.runtime.openvino import import_openvino

    try:
        return import_openvino()
    except EngineUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"OpenVINO is not installed here: {error.message}")
