"""Small random Demucs networks in a folder, what Demucs makes of a mixture with them, and what isomix does."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.repo import AnyModelRepo, BagOnlyRepo, LocalRepo

from isomix.audio.blocks import Audio
from isomix.backends.demucs import isomix_find_engine
from isomix.domain.options import EngineOptions
from isomix.engine import SeparationEngine
from isomix.plugins import open_engine

STEMS = ["drums", "bass", "other", "vocals"]
SAMPLE_RATE = 4000
"""Low, so that the tests are quick; nothing in Demucs depends on it."""
NETWORKS: dict[str, Callable[..., Any]] = {"htdemucs": HTDemucs, "hdemucs": HDemucs, "demucs": Demucs}
SMALL: dict[str, dict[str, Any]] = {
    "htdemucs": {"channels": 8, "depth": 3, "dconv_depth": 1, "t_layers": 1, "t_heads": 4, "segment": Fraction(39, 5)},
    "hdemucs": {"channels": 4, "dconv_depth": 1, "segment": 4},
    "demucs": {"channels": 4, "dconv_depth": 1, "segment": 3},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: on so small networks its threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def save_network(
    folder: Path, signature: str, kind: str, *, seed: int = 0, stems: Sequence[str] = STEMS, **changes: Any
) -> Path:
    """Write a random network as Demucs publishes them, and return its file."""
    arguments = {**SMALL[kind], "samplerate": SAMPLE_RATE, **changes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[kind](list(stems), **arguments)
    package = {
        "klass": NETWORKS[kind],
        "args": (list(stems),),
        "kwargs": arguments,
        "state": network.state_dict(),
        "training_args": {"seed": seed},
    }
    return save_package(folder, signature, package)


def save_package(folder: Path, signature: str, package: object) -> Path:
    """Write anything under a name that tells its checksum."""
    buffer = io.BytesIO()
    torch.save(package, buffer)
    path = folder / f"{signature}-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.th"
    path.write_bytes(buffer.getvalue())
    return path


def save_bag(folder: Path, name: str, definition: str) -> None:
    """Write a bag's definition."""
    (folder / f"{name}.yaml").write_text(definition, encoding="utf-8")


def make_mixture(seconds: float, *, seed: int = 0, channels: int = 2, sample_rate: int = SAMPLE_RATE) -> Audio:
    """Return tones and noise with an offset, which normalisation has to remove."""
    samples = int(seconds * sample_rate)
    draw = np.random.default_rng(seed)
    time = np.arange(samples) / sample_rate
    tones = [np.sin(2 * np.pi * frequency * time) for frequency in draw.uniform(60, 4000, channels)]
    return np.asarray(0.2 * np.array(tones) + 0.05 * draw.standard_normal((channels, samples)) + 0.01, np.float32)


def open_tiny(repo: Path, name: str, **choices: Any) -> SeparationEngine:
    """Open a model of a folder through isomix's own doors, in torch unless something else is chosen."""
    options = EngineOptions(repo=repo, device="cpu", **{"runtime": "torch", **choices})
    spec = isomix_find_engine(name, options)
    assert spec is not None
    return open_engine(spec, options)


def run_isomix(engine: SeparationEngine, mixture: Audio, block: int = 100_003) -> Audio:
    """Stream a mixture through an engine, normalised as Demucs normalises a track."""
    normalised, mean, scale = _normalise(mixture)
    stream = engine.open_stream()
    blocks = [
        settled
        for start in range(0, mixture.shape[1], block)
        for settled in stream.push(normalised[:, start : start + block])
    ]
    return np.concatenate([*blocks, *stream.finish()], axis=-1) * scale + mean


def run_demucs(repo: Path, name: str, mixture: Audio, *, overlap: float = 0.25, shifts: int = 0) -> Audio:
    """Separate a mixture as ``demucs.api.Separator`` does."""
    local = LocalRepo(repo)
    model = AnyModelRepo(local, BagOnlyRepo(repo, local)).get_model(name).eval()
    return apply(model, mixture, overlap=overlap, shifts=shifts)


def apply(model: BagOfModels, mixture: Audio, *, overlap: float = 0.25, shifts: int = 0) -> Audio:
    """Apply a Demucs model with Demucs' own code."""
    normalised, mean, scale = _normalise(mixture)
    stems = apply_model(model, torch.from_numpy(normalised)[None], shifts=shifts, overlap=overlap)[0]
    return np.asarray(stems.numpy() * scale + mean, np.float32)


def _normalise(mixture: Audio) -> tuple[Audio, np.float32, np.float32]:
    mono = torch.from_numpy(mixture).mean(0)
    mean, scale = np.float32(mono.mean()), np.float32(mono.std() + 1e-8)
    return (mixture - mean) / scale, mean, scale


def snr_db(reference: Audio, estimate: Audio) -> float:
    """Return how far an estimate's error lies below its reference, in dB."""
    assert reference.shape == estimate.shape
    error = np.square(reference - estimate, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(reference, dtype=np.float64).sum() / max(error, 1e-300)))
