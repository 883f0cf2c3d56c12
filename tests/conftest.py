"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.service_postgres import postgres, postgres_url
from tests.service_redis import redis_server, redis_url, valkey_binary
from tests.service_s3 import s3_bucket, s3_server, s3_url

from isomix.domain.options import EngineOptions
from isomix.errors import EngineUnavailable, WeightsUnavailable

__all__ = ["postgres", "postgres_url", "redis_server", "redis_url", "s3_bucket", "s3_server", "s3_url", "valkey_binary"]

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
