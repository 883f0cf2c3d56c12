"""Spleeter here is Spleeter: the official weights give what Deezer's own TensorFlow program gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from isomix.backends.spleeter import isomix_engines
from isomix.backends.spleeter.engine import SpleeterEngine, open_spleeter
from isomix.domain.options import EngineOptions

pytestmark = [pytest.mark.reference, pytest.mark.weights]

Audio = NDArray[np.float32]
PARITY_DB = 90
STEMS = ("vocals", "accompaniment")


def read(reference: Path, name: str) -> Audio:
    return soundfile.read(reference / "80srock" / f"{name}.flac", dtype="float32", always_2d=True)[0].T


def snr_db(expected: Audio, found: Audio) -> float:
    """Return 10 log10 of the power of what is expected over the power of the difference."""
    wanted = expected.astype(np.float64)
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((wanted - found) ** 2)))


@pytest.fixture(scope="module")
def engine(spleeter_weights: Path) -> SpleeterEngine:
    spec = next(spec for spec in isomix_engines() if spec.name == "spleeter:2stems")
    return open_spleeter(spec, EngineOptions(device="cpu", offline=True))


@pytest.fixture(scope="module")
def mixture(reference: Path) -> Audio:
    return read(reference, "mixture")


def stream(engine: SpleeterEngine, mixture: Audio, *sizes: int) -> Audio:
    """Separate a recording that comes in blocks of these sizes, over and over."""
    stems, position, turn = engine.open_stream(), 0, 0
    out = []
    while position < mixture.shape[-1]:
        stop = position + sizes[turn % len(sizes)]
        out += stems.push(mixture[:, position:stop])
        position, turn = stop, turn + 1
    out += stems.finish()
    return np.concatenate(out, axis=-1)


@pytest.fixture(scope="module")
def whole(engine: SpleeterEngine, mixture: Audio) -> Audio:
    return stream(engine, mixture, mixture.shape[-1])


def test_the_whole_recording_equals_tensorflows(reference: Path, whole: Audio) -> None:
    """Every stem equals the original program's to at least 90 dB, sample by sample."""
    expected = np.load(reference / "spleeter" / "80srock_2stems.npz")
    for stem, found in zip(STEMS, whole, strict=True):
        assert found.shape == expected[stem].shape
        assert snr_db(expected[stem], found) >= PARITY_DB


@pytest.mark.parametrize("sizes", [(4096,), (777, 1, 44_100), (99_991,)])
def test_a_stream_equals_the_whole(
    reference: Path, engine: SpleeterEngine, mixture: Audio, whole: Audio, sizes: tuple[int, ...]
) -> None:
    """Blocks of any size give what the whole recording gives, and so what TensorFlow gives."""
    streamed = stream(engine, mixture, *sizes)
    np.testing.assert_allclose(streamed, whole, atol=1e-6)
    expected = np.load(reference / "spleeter" / "80srock_2stems.npz")
    assert min(snr_db(expected[stem], found) for stem, found in zip(STEMS, streamed, strict=True)) >= PARITY_DB


def test_segments_join_without_a_seam(engine: SpleeterEngine, mixture: Audio, whole: Audio) -> None:
    """Later segments separate a recording as the first does: one that is moved by whole segments comes out moved."""
    silence = np.zeros((2, 2 * engine.segmentation.hop), np.float32)
    moved = stream(engine, np.concatenate([silence, mixture], axis=-1), 50_000)
    np.testing.assert_allclose(moved[..., silence.shape[-1] :], whole, atol=1e-6)


def test_the_stems_are_as_good_as_spleeters(reference: Path, whole: Audio) -> None:
    """The signal-to-distortion ratios against the true stems are those measured of the original."""
    accompaniment = read(reference, "drums") + read(reference, "bass") + read(reference, "other")
    assert snr_db(read(reference, "vocals"), whole[0]) == pytest.approx(11.23, abs=0.05)
    assert snr_db(accompaniment, whole[1]) == pytest.approx(12.85, abs=0.05)
