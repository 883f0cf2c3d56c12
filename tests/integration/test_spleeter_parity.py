"""Spleeter here is Spleeter: the official weights give what Deezer's own TensorFlow program gives."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import isomix
from isomix.backends.spleeter import isomix_engines
from isomix.backends.spleeter.catalog import get_evidence
from isomix.backends.spleeter.engine import SpleeterEngine
from isomix.backends.spleeter.opening import open_spleeter
from isomix.domain.options import EngineOptions, Precision, Runtime
from isomix.errors import WeightsUnavailable
from isomix.models.store import WeightsStore
from isomix.runtime.choice import MAX_ERROR_DB
from isomix.runtime.openvino import has_bfloat16

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


def open_engine(runtime: Runtime, precision: Precision) -> SpleeterEngine:
    spec = next(spec for spec in isomix_engines() if spec.name == "spleeter:2stems")
    return open_spleeter(spec, EngineOptions(device="cpu", offline=True, runtime=runtime, precision=precision))


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engine(spleeter_weights: Path, request: pytest.FixtureRequest) -> SpleeterEngine:
    if request.param == "openvino":
        request.getfixturevalue("openvino")
    return open_engine(request.param, "float32")


@pytest.fixture(scope="module")
def mixture(reference: Path) -> Audio:
    return read(reference, "mixture")


@pytest.fixture(scope="module")
def falcon() -> Audio:
    """Return the mixture of the clip that the demo separates."""
    demo = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "demo.py"))
    try:
        return isomix.read(WeightsStore().get(demo["CLIP"]) / demo["CLIP_FILE"].name)[0]
    except WeightsUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the clip cannot be had here: {error.message}")


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


@pytest.mark.usefixtures("openvino", "spleeter_weights")
@pytest.mark.parametrize("clip", ["80srock", "falcon"])
def test_bfloat16_costs_what_the_catalog_says(clip: str, request: pytest.FixtureRequest) -> None:
    """On real music, the error of every stem against float32 stays below the figure that lets it be chosen."""
    if not has_bfloat16():
        pytest.skip("this CPU has no bfloat16")
    mixture = request.getfixturevalue("mixture" if clip == "80srock" else clip)
    exact, fast = (stream(open_engine("openvino", precision), mixture, 2**20) for precision in ("float32", "bfloat16"))
    declared_db = get_evidence("spleeter:2stems").bfloat16_error_db
    assert declared_db is not None
    assert declared_db < MAX_ERROR_DB
    assert max(-snr_db(*stems) for stems in zip(exact, fast, strict=True)) <= declared_db


def test_the_choice_is_on_the_record(spleeter_weights: Path) -> None:
    """An engine says what runs it, and in what."""
    engine = open_engine("torch", "auto")
    assert (engine.runtime, engine.device, engine.precision) == ("torch", "cpu", "float32")
