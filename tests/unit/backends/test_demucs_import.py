"""Weights of the user's are taken in under a name that leads to them, or not at all."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import soundfile
import torch
from tiny_demucs import (
    SAMPLE_RATE,
    make_mixture,
    one_thread,  # noqa: F401
    save_bag,
    save_network,
)

import isomix
from isomix import Studio, models
from isomix.audio.blocks import Audio
from isomix.errors import WeightsUnavailable


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the user's; every cache of this machine is kept out."""
    monkeypatch.setenv("ISOMIX_WEIGHTS_DIR", str(tmp_path / "isomix"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    folder = tmp_path / "brought"
    folder.mkdir()
    return folder


def separate(model: str, **choices: str | Path) -> Audio:
    """Return the drums that a model finds in a fixed mixture, on the CPU and without a network."""
    source = (make_mixture(1), SAMPLE_RATE)
    found = isomix.separate(
        source, model, device="cpu", runtime="torch", precision="float32", offline=True, repo=choices.get("repo")
    )
    return found["drums"].array


@pytest.mark.parametrize("name", ["band", "both"], ids=["a network", "a bag"])
def test_a_network_of_the_users_own_is_found_by_a_name_of_the_hub(brought: Path, name: str) -> None:
    """Once imported it opens by that name alone, gives what it gave from the user's folder, and verifies."""
    save_network(brought, "band", "hdemucs")
    save_network(brought, "choir", "hdemucs", seed=1)
    save_bag(brought, "both", "{models: [band, choir], weights: [[1, 0, 1, 0], [0, 1, 0, 1]], segment: 2}")
    models.import_weights(f"hf://me/{name}", brought)
    np.testing.assert_array_equal(separate(f"hf://me/{name}"), separate(name, repo=brought))
    assert {report.status for report in models.verify(f"hf://me/{name}")} == {"ok"}


@pytest.mark.parametrize("model", ["band", "both", "htdemucs"])
def test_what_no_name_would_lead_to_is_not_imported(brought: Path, model: str) -> None:
    """A network of another signature, a bag, and one with other stems than the model's leave nothing behind."""
    save_network(brought, "band", "hdemucs")
    save_network(brought, "955717e8", "hdemucs", samplerate=44100, stems=["drums", "vocals"])
    save_bag(brought, "both", "models: [band]")
    with pytest.raises(WeightsUnavailable) as caught:
        models.import_weights(model, brought)
    assert "hf://NAMESPACE/NAME" in caught.value.hint
    assert list(models.get_weights_dir().iterdir()) == []


@pytest.mark.slow
def test_a_file_that_would_not_be_looked_at_is_not_imported(brought: Path, tmp_path: Path) -> None:
    """The model is here already, in Demucs' own cache: a file of another signature would not take its place."""
    cache = tmp_path / "torch" / "checkpoints"
    cache.mkdir(parents=True)
    save_network(cache, "955717e8", "htdemucs", samplerate=44100)
    with pytest.raises(WeightsUnavailable, match=r"torch.checkpoints.955717e8"):
        models.import_weights("htdemucs", save_network(brought, "band", "htdemucs", samplerate=44100))
    assert list(models.get_weights_dir().iterdir()) == []


def test_what_is_imported_replaces_what_was_there(brought: Path) -> None:
    """Of two files of one signature the later import counts, whatever their names."""
    for seed in range(3):
        path = save_network(brought, "band", "hdemucs", seed=seed)
        models.import_weights("hf://me/band", brought)
        np.testing.assert_array_equal(separate("hf://me/band"), separate("band", repo=brought))
        (kept,) = models.get_weights_dir().rglob("*.th")
        assert hashlib.sha256(kept.read_bytes()).hexdigest()[:8] in path.name
        path.unlink()


@pytest.mark.slow
def test_a_studio_reuses_no_stems_of_other_weights(brought: Path) -> None:
    """After an import over a model, an equal upload is computed by the new network, though the old one was loaded."""
    recording, outcomes, heard = io.BytesIO(), [], []
    soundfile.write(recording, make_mixture(1).T, SAMPLE_RATE, format="WAV")
    with Studio.open("memory://", "memory://weights", "inline", model="htdemucs", device="cpu") as studio:
        for seed in (0, 0, 1):
            for former in brought.iterdir():
                former.unlink()
            save_network(brought, "955717e8", "htdemucs", samplerate=44100, seed=seed)
            models.import_weights("htdemucs", brought)
            project = studio.upload(recording.getvalue(), runtime="torch", precision="float32")
            outcomes.append(studio.status(project.id).job.outcome)
            with studio.open_stem(project.id, "drums") as file:
                heard.append(file.read())
    assert [outcome and outcome.reused for outcome in outcomes] == [False, True, False]
    assert heard[0] == heard[1] != heard[2]
