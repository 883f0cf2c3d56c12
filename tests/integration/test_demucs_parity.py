"""isomix's segments, joins, shifts and averages against ``demucs.apply.apply_model``, on the same networks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from tiny_demucs import (
    SAMPLE_RATE,
    make_mixture,
    one_thread,  # noqa: F401
    open_tiny,
    run_demucs,
    run_isomix,
    save_bag,
    save_network,
    snr_db,
)

from isomix.backends.demucs.engine import DemucsEngine
from isomix.engine import MAX_SHIFT_SECONDS

LEAST_DB = 80


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one network of each kind, and bags of them."""
    folder = tmp_path_factory.mktemp("repo")
    save_network(folder, "transformer", "htdemucs")
    save_network(folder, "transformer2", "htdemucs", seed=1)
    save_network(folder, "hybrid", "hdemucs", seed=2)
    save_network(folder, "waveform", "demucs", seed=3)
    save_network(folder, "untrained_length", "htdemucs", seed=4, use_train_segment=False)
    save_bag(folder, "equal", "models: [transformer, transformer2]")
    save_bag(folder, "twice", "models: [transformer, transformer]")
    save_bag(
        folder,
        "unequal",
        "models: [transformer, hybrid, waveform]\nweights: [[1, 1, 0, 0], [0, 1, 0.5, 0], [1, 0, 1, 1]]",
    )
    save_bag(folder, "short_segment", "models: [transformer, hybrid, waveform]\nsegment: 5")
    save_bag(folder, "long_segment", "models: [transformer, hybrid, waveform]\nsegment: 9.5")
    return folder


def agreement_db(repo: Path, name: str, seconds: float, **choices: Any) -> float:
    """Return how far isomix's output is from Demucs' own."""
    mixture = make_mixture(seconds)
    return snr_db(run_demucs(repo, name, mixture, **choices), run_isomix(open_tiny(repo, name, **choices), mixture))


@pytest.mark.parametrize("seconds", [0.3, 7.8, 7.9, 30])
def test_a_transformer_equals_demucs_at_any_length(repo: Path, seconds: float) -> None:
    """Pieces shorter than a segment, exactly one, just more, and several give what Demucs gives."""
    assert agreement_db(repo, "transformer", seconds) >= LEAST_DB


@pytest.mark.parametrize("overlap", [0.1, 0.25, 0.5])
def test_every_overlap_equals_demucs(repo: Path, overlap: float) -> None:
    """The hop and the triangular join follow Demucs for any overlap."""
    assert agreement_db(repo, "transformer", 20, overlap=overlap) >= LEAST_DB


@pytest.mark.parametrize("name", ["hybrid", "waveform", "untrained_length"])
@pytest.mark.parametrize("seconds", [0.3, 9.7])
def test_networks_without_a_fixed_length_equal_demucs(repo: Path, name: str, seconds: float) -> None:
    """A network that takes any length, or pads its input up, is given what Demucs gives it."""
    assert agreement_db(repo, name, seconds) >= LEAST_DB


@pytest.mark.parametrize("name", ["equal", "twice", "unequal", "short_segment", "long_segment"])
def test_bags_equal_demucs(repo: Path, name: str) -> None:
    """Weights per stem, unequal segments and a bag's own segment length work as in ``BagOfModels``."""
    assert agreement_db(repo, name, 12) >= LEAST_DB


@pytest.mark.parametrize("name", ["transformer", "unequal"])
def test_shifts_equal_demucs_run_with_the_same_offsets(repo: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shifted passes per network, each with its own draw, average as Demucs averages them."""
    engine = open_tiny(repo, name, shifts=2, seed=5)
    assert isinstance(engine, DemucsEngine)
    longest = int(MAX_SHIFT_SECONDS * SAMPLE_RATE)
    offsets = iter([longest - shift for part in engine.parts for shift in engine.shifts_of(part)])
    monkeypatch.setattr(random, "randint", lambda low, high: next(offsets))
    mixture = make_mixture(9)
    assert snr_db(run_demucs(repo, name, mixture, shifts=2), run_isomix(engine, mixture)) >= LEAST_DB
    assert next(offsets, None) is None
