"""The weight-free engine: what goes where, and that nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from isomix.audio.overlap import Segmentation
from isomix.backends.hpss import SPEC
from isomix.backends.hpss.engine import open_hpss
from isomix.backends.hpss.masks import low_mask, median_along_rows, percussive_mask
from isomix.backends.hpss.stft import Stft
from isomix.domain.options import EngineOptions
from isomix.engine import SeparationEngine

RATE = 44100
SHORT = attrs.evolve(SPEC, segmentation=Segmentation(length=2**14, hop=2**14 * 7 // 8))
"""Short segments, so that a short signal has many joins."""


def stream(engine: SeparationEngine, mixture: np.ndarray, block_samples: int = 50_000) -> np.ndarray:
    """Separate a mixture through the stream, pushed block by block."""
    opened = engine.open_stream()
    settled = [np.zeros((len(engine.stems), 2, 0), np.float32)]
    for start in range(0, mixture.shape[-1], block_samples):
        settled += opened.push(mixture[:, start : start + block_samples])
    return np.concatenate([*settled, *opened.finish()], axis=-1)


def separate(mixture: np.ndarray) -> dict[str, np.ndarray]:
    """Separate a mixture with all defaults."""
    return dict(zip(SPEC.stems, stream(open_hpss(SPEC, EngineOptions()), mixture), strict=True))


def power_db(signal: np.ndarray, reference: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(np.square(signal, dtype=float)) / np.sum(np.square(reference, dtype=float))))


def sine(frequency_hz: float, seconds: float = 4) -> np.ndarray:
    tone = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * RATE)) / RATE)
    return np.stack([tone, 0.5 * tone]).astype(np.float32)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (2, samples)).astype(np.float32)


@pytest.mark.parametrize("samples", [0, 1, 100, 1023, 1024, 1025, 2**14, 3 * 2**14 + 7])
def test_stems_sum_to_the_mixture(samples):
    """The three stems add up to the mixture to the last bits of float32, whatever its length."""
    mixture = noise(samples)
    stems = stream(open_hpss(SHORT, EngineOptions()), mixture)
    assert stems.shape == (3, 2, samples)
    np.testing.assert_allclose(stems.sum(axis=0), mixture, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(0, 60_000), block_samples=st.integers(500, 70_000), seed=st.integers(0, 99))
def test_stems_sum_to_the_mixture_for_any_cut(samples, block_samples, seed):
    """Neither the length nor the blocks that the mixture comes in change what the stems add up to."""
    mixture = noise(samples, seed)
    stems = stream(open_hpss(SHORT, EngineOptions()), mixture, block_samples)
    assert stems.shape == (3, 2, samples)
    np.testing.assert_allclose(stems.sum(axis=0), mixture, atol=1e-6)


def test_clicks_are_drums():
    """Of a train of clicks, 99 % of the power is in the drums and less than 1 % leaks elsewhere."""
    mixture = np.zeros((2, 4 * RATE), np.float32)
    mixture[:, RATE // 4 :: RATE // 2] = 0.9
    stems = separate(mixture)
    assert power_db(stems["drums"] - mixture, mixture) < -20
    assert power_db(stems["bass"] + stems["other"], mixture) < -20


@pytest.mark.parametrize(("frequency_hz", "stem"), [(440, "other"), (1760, "other"), (60, "bass"), (110, "bass")])
def test_held_notes_are_harmonic(frequency_hz, stem):
    """Of a held sine, 99 % of the power is in the bass if it is low, and in other if it is not."""
    mixture = sine(frequency_hz)
    assert power_db(separate(mixture)[stem] - mixture, mixture) < -20


def test_clicks_and_a_note_part():
    """Clicks over a held note go to the drums while the note stays in other, each at 10 dB SDR or better."""
    clicks = np.zeros((2, 4 * RATE), np.float32)
    clicks[:, RATE // 4 :: RATE // 2] = 0.9
    clicks = np.apply_along_axis(np.convolve, -1, clicks, noise(200)[0])[:, : 4 * RATE].astype(np.float32)
    note = sine(660)
    stems = separate(clicks + note)
    assert power_db(stems["drums"] - clicks, clicks) < -10
    assert power_db(stems["other"] - note, note) < -10


def test_silence_gives_silence():
    """Silence gives three times silence, and no warning."""
    assert not stream(open_hpss(SHORT, EngineOptions()), np.zeros((2, 40_000), np.float32)).any()


@pytest.mark.parametrize("gain", [1e-6, 1e6])
def test_loudness_does_not_matter(gain):
    """A mixture that is 120 dB softer or louder is separated the same."""
    mixture = noise(30_000)
    engine = open_hpss(SHORT, EngineOptions())
    scaled = stream(engine, mixture * np.float32(gain)) / np.float32(gain)
    np.testing.assert_allclose(scaled, stream(engine, mixture), atol=1e-5)


def test_the_same_mixture_gives_the_same_stems():
    """Two runs agree bit for bit, and so do two ways to cut the mixture into blocks."""
    mixture = noise(50_000)
    first = stream(open_hpss(SHORT, EngineOptions()), mixture)
    np.testing.assert_array_equal(first, stream(open_hpss(SHORT, EngineOptions()), mixture, 777))


@pytest.mark.parametrize("wanted", [("drums",), ("bass",), ("other",), ("other", "drums")])
def test_wanted_stems_are_those_of_a_full_run(wanted):
    """Asking for some stems gives those of a full run, in the order of the spec."""
    mixture = noise(30_000)
    full = dict(zip(SHORT.stems, stream(open_hpss(SHORT, EngineOptions()), mixture), strict=True))
    engine = open_hpss(SHORT, EngineOptions(stems=wanted))
    assert engine.stems == tuple(stem for stem in SHORT.stems if stem in wanted)
    for stem, estimate in zip(engine.stems, stream(engine, mixture), strict=True):
        np.testing.assert_array_equal(estimate, full[stem])


def test_a_batch_equals_its_segments():
    """Segments that are separated together come out as if each were alone."""
    engine = open_hpss(SPEC, EngineOptions())
    batch = np.stack([noise(9000, 1), noise(9000, 2)])
    alone = [engine.separate(segment[None])[0] for segment in batch]
    np.testing.assert_array_equal(engine.separate(batch), np.stack(alone))


def test_what_was_not_chosen_is_recorded(monkeypatch):
    """Device and precision of the result are those of numpy, whatever was asked for a cascade."""
    monkeypatch.setattr("isomix.runtime.torch.list_devices", lambda: ["cuda:0", "cpu"])
    engine = open_hpss(SPEC, EngineOptions(device="cuda", precision="bfloat16"))
    assert (engine.device, engine.precision, engine.runtime) == ("cpu", "float32", "scipy")


@pytest.mark.parametrize("samples", [0, 1, 63, 64, 65, 1000])
def test_the_transform_can_be_undone(samples):
    """Analysis and synthesis give the signal back, whatever its length."""
    stft = Stft(64)
    signal = noise(samples)
    np.testing.assert_allclose(stft.synthesise(stft.analyse(signal), samples), signal, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 9])
def test_the_median_is_the_median(size):
    """The running median along rows is numpy's median of each window, row by row."""
    rows = noise(40)
    reach = size // 2
    padded = np.pad(rows, [(0, 0), (reach, reach)], mode="reflect")
    expected = np.median(np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1), axis=-1)
    np.testing.assert_array_equal(median_along_rows(rows, size), expected)


def test_masks_stay_between_zero_and_one():
    """A share is a share: it is even in silence and never leaves the unit interval."""
    power = np.square(noise(400)).reshape(20, 40)
    mask = percussive_mask(power, size_frames=5, size_bins=5)
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert (percussive_mask(np.zeros_like(power), size_frames=5, size_bins=5) == 0.5).all()


def test_the_low_mask_falls():
    """The crossover never rises with frequency."""
    step = low_mask(np.linspace(0, 22050, 2049), cutoff_hz=200, width_octaves=1)
    assert (np.diff(step) <= 0).all()


def test_listing_is_light():
    """Reading the spec imports neither scipy nor the engine."""
    code = "import sys, isomix.backends.hpss; sys.exit(any(name.startswith('scipy') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.reference
def test_real_music(reference: Path):
    """On the accompaniment of a real recording each stem reaches the SDR it has been tuned to."""
    true = {
        name: soundfile.read(reference / "80srock" / f"{name}.flac", dtype="float32")[0].T
        for name in ("mixture", "vocals", *SPEC.stems)
    }
    stems = separate(np.ascontiguousarray(true["mixture"] - true["vocals"]))
    sdr_db = {stem: -power_db(stems[stem] - true[stem], true[stem]) for stem in SPEC.stems}
    assert sdr_db["drums"] > 7.5
    assert sdr_db["bass"] > 5.3
    assert sdr_db["other"] > 6.5
