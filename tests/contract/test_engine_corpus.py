"""Every engine that needs no weights, on every kind of recording that hurts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

import isomix
from isomix.errors import CorruptAudio, UnsupportedFormat
from isomix.testing.engines import pass_through_spec

WEIGHT_FREE = [model for model in isomix.list_models() if model.weights is None and not model.extra]
ENGINES = [*WEIGHT_FREE, pass_through_spec(), pass_through_spec(channels=1, normalization="track")]
RATE = 44100


def noise(samples: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.9, 0.9, (channels, samples)).astype(np.float32)


def full_scale(samples: int) -> np.ndarray:
    return np.where(noise(samples) > 0, 1, -1).astype(np.float32)


CORPUS = {
    "empty": (np.zeros((2, 0), np.float32), RATE),
    "one sample": (noise(1), RATE),
    "100 samples": (noise(100), RATE),
    "silence": (np.zeros((2, 50_000), np.float32), RATE),
    "DC": (np.full((2, 50_000), 0.5, np.float32), RATE),
    "full scale": (full_scale(50_000), RATE),
    "beyond full scale": (100 * full_scale(20_000), RATE),
    "very soft": (noise(20_000) * np.float32(1e-30), RATE),
    "one channel silent": (noise(20_000) * np.array([[1], [0]], np.float32), RATE),
    "mono": (noise(50_000, 1), RATE),
    "5.1": (noise(50_000, 6), RATE),
    "7.1": (noise(20_000, 8), 48000),
    **{f"{rate} Hz": (noise(rate // 4), rate) for rate in (8000, 11025, 16000, 22050, 32000, 48000, 96000, 192000)},
}


@pytest.fixture(scope="module", params=ENGINES, ids=lambda spec: f"{spec.name}-{spec.channels}")
def separator(request):
    """Return each engine, opened."""
    with isomix.Separator(request.param) as opened:
        yield opened


def test_there_is_an_engine_without_weights():
    """The corpus is not run on test engines alone."""
    assert "hpss" in [model.name for model in WEIGHT_FREE]


@pytest.mark.parametrize("name", CORPUS)
def test_stems_have_the_recordings_shape_and_finite_values(separator, name):
    """Whatever the recording, each stem has its length, rate and channels (stereo for surround) and finite values."""
    mixture, rate = CORPUS[name]
    separation = separator.separate((mixture, rate))
    channels = mixture.shape[0] if mixture.shape[0] <= 2 else separator.spec.channels
    assert list(separation) == list(separator.spec.stems)
    for stem in separation.values():
        assert stem.array.shape == (channels, mixture.shape[1])
        assert stem.array.dtype == np.float32
        assert stem.sample_rate == rate
        assert np.isfinite(stem.array).all()


@pytest.mark.parametrize("name", ["silence", "empty"])
def test_silence_gives_silence(separator, name):
    """Where nothing sounds, no stem sounds."""
    assert not any(stem.array.any() for stem in separator.separate(CORPUS[name]).values())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(separator, value):
    """NaN and infinity are refused with their place, before they reach the engine."""
    mixture = noise(20_000)
    mixture[1, 12_345] = value
    with pytest.raises(CorruptAudio, match="at sample 12345"):
        separator.separate((mixture, RATE))


@pytest.mark.parametrize("channels", [3, 4, 5])
def test_layouts_without_a_standard_are_refused(separator, channels):
    """A layout that nobody can mix down is refused."""
    with pytest.raises(UnsupportedFormat):
        separator.separate((noise(100, channels), RATE))


@pytest.mark.parametrize(("subtype", "tolerance"), [("PCM_16", 2**-15), ("PCM_24", 2**-23), ("FLOAT", 0)])
def test_encodings_make_no_difference(separator, tmp_path: Path, subtype, tolerance):
    """A file of any encoding, with any name, is separated as its samples are."""
    path, mixture = tmp_path / "Größe 声音.wav", noise(20_000)
    soundfile.write(path, mixture.T, RATE, subtype=subtype)
    as_read, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_allclose(as_read.T, mixture, rtol=0, atol=tolerance)
    from_file, from_array = separator.separate(path), separator.separate((as_read.T, RATE))
    for stem in from_file:
        np.testing.assert_array_equal(from_file[stem].array, from_array[stem].array)


@pytest.mark.parametrize("output", [False, True])
def test_what_is_damaged_leaves_nothing(separator, tmp_path, output):
    """A text that is called .mp3 and a FLAC that was cut give typed errors, and no file is left."""
    file = io.BytesIO()
    soundfile.write(file, noise(100_000).T, RATE, format="FLAC")
    (tmp_path / "text.mp3").write_text("Lyrics: la la la")
    (tmp_path / "cut.flac").write_bytes(file.getvalue()[:150_000])
    for name, error in (("text.mp3", UnsupportedFormat), ("cut.flac", CorruptAudio)):
        with pytest.raises(error, match=name):
            separator.separate(tmp_path / name, output=tmp_path / "new" if output else None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.flac", "text.mp3"]


@pytest.mark.parametrize("name", ["one sample", "5.1", "full scale", "8000 Hz"])
def test_files_are_as_long_as_the_recording(separator, tmp_path, name):
    """On disk, too, stems are exactly as long as the recording, and are not clipped."""
    mixture, rate = CORPUS[name]
    separation = separator.separate((mixture, rate), output=tmp_path)
    for stem in separation.values():
        info = soundfile.info(stem.path)
        assert (info.frames, info.samplerate, info.channels) == (mixture.shape[1], rate, separation.channels)
