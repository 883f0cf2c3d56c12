"""A weights folder for tests, and no caches of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.models.small_entries import store_spleeter

from isomix import settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the caches of this machine out of the tests, and their network; return the default weights folder."""
    for name in settings.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(settings.WEIGHTS_DIR, str(tmp_path / "default"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "default"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return a weights folder with ``spleeter:2stems`` in it."""
    store_spleeter(tmp_path / "here")
    return tmp_path / "here"
