"""Stems as segments that can be played one after the other."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isomix.audio.blocks import Audio
from isomix.audio.preview import PreviewSink
from isomix.domain.preview import HEADROOM_DB, Preview, PreviewSegment
from isomix.errors import InvalidOptions, StorageError

RATE = 500
NAMES = ("vocals", "drums")
GAIN = 10 ** (HEADROOM_DB / 20)


def noise(samples: int, channels: int = 2, seed: int = 0) -> Audio:
    return np.random.default_rng(seed).uniform(-1.9, 1.9, (channels, samples)).astype(np.float32)


def cut(stems: dict[str, Audio], folder: Path, sizes: list[int], **choices):
    """Send stems through a sink in blocks of these sizes; return the segments and what their files hold."""
    segments: list[PreviewSegment] = []
    pieces: dict[str, list[Audio]] = {name: [] for name in stems}

    def take(segment, files):
        segments.append(segment)
        for name, path in files.items():
            audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
            assert (audio.shape[0], rate) == (segment.samples, RATE)
            pieces[name].append(audio.T)
            path.unlink()

    first = next(iter(stems.values()))
    sink = PreviewSink(list(stems), sample_rate=RATE, channels=len(first), folder=folder, on_segment=take, **choices)
    position = 0
    for size in [*sizes, first.shape[1]]:
        sink.write({name: audio[:, position : position + size] for name, audio in stems.items()})
        position += size
    sink.finish()
    empty = np.zeros((len(first), 0), np.float32)
    return segments, {name: np.concatenate([empty, *parts], axis=1) for name, parts in pieces.items()}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=st.one_of(st.integers(0, 20 * RATE), st.sampled_from([RATE, 3 * RATE, 6 * RATE, 12 * RATE])),
    channels=st.integers(1, 2),
    sizes=st.lists(st.integers(0, 8 * RATE), max_size=6),
)
def test_segments_joined_are_the_stem(tmp_path, samples, channels, sizes):
    """Whatever the length and the blocks: joined, with the headroom undone, they are the stem to 16 bits."""
    stems = {name: noise(samples, channels, seed) for seed, name in enumerate(NAMES)}
    segments, joined = cut(stems, tmp_path, sizes)
    for name, stem in stems.items():
        assert joined[name].shape == stem.shape
        np.testing.assert_allclose(joined[name] * GAIN, stem, atol=0.51 * GAIN / 32768)
    preview = Preview(attempt="a", stems=NAMES, sample_rate=RATE, playable_samples=samples, complete=True)
    assert segments == list(preview.segments())


def test_a_segment_comes_as_soon_as_its_last_sample_is_there(tmp_path):
    """With the sample that completes a segment it is there, and not one sample before; `finish` gives the rest."""
    heard: list[int] = []
    sink = PreviewSink(
        ["drums"],
        sample_rate=RATE,
        channels=1,
        folder=tmp_path,
        on_segment=lambda segment, files: heard.append(segment.index),
    )
    sink.write({"drums": noise(RATE - 1, 1)})
    assert heard == []
    sink.write({"drums": noise(1, 1)})
    assert heard == [0]
    sink.write({"drums": noise(2 * RATE + 1, 1)})
    assert heard == [0, 1]
    sink.finish()
    assert heard == [0, 1, 2]


def test_what_is_louder_than_the_headroom_clips(tmp_path):
    """Values beyond the headroom are stored at full scale instead of wrapping around."""
    _, joined = cut({"drums": np.array([[9.0, -9.0]], np.float32)}, tmp_path, [])
    assert joined["drums"].tolist() == [[32767 / 32768, -1.0]]


@pytest.mark.parametrize("rate", [8000, 11025, 44101, 96000, 192000, 655350])
def test_rates_that_flac_can_hold(tmp_path, rate):
    """Segments have the recording's own rate, also where it is unusual."""
    rates: list[int] = []
    sink = PreviewSink(
        ["drums"],
        sample_rate=rate,
        channels=2,
        folder=tmp_path,
        on_segment=lambda segment, files: rates.append(soundfile.info(files["drums"]).samplerate),
    )
    sink.write({"drums": noise(100)})
    sink.finish()
    assert rates == [rate]


@pytest.mark.parametrize("rate", [655_351, 88_201])
def test_a_rate_that_flac_cannot_hold_is_refused_first(tmp_path, rate):
    """Where FLAC cannot hold a rate, the sink is not even made."""
    with pytest.raises(InvalidOptions, match=f"flac cannot hold {rate} Hz"):
        PreviewSink(["drums"], sample_rate=rate, channels=2, folder=tmp_path, on_segment=lambda *_: None)


def test_a_folder_that_is_gone_is_a_storage_error(tmp_path):
    """Where files cannot be made, the error is typed and says where."""
    with pytest.raises(StorageError, match="gone"):
        cut({"drums": noise(RATE)}, tmp_path / "gone", [])


def test_memory_is_bounded_by_a_segment(tmp_path):
    """Ten times the stem needs no more memory."""

    def peak_bytes(seconds: int) -> int:
        sink = PreviewSink(
            NAMES,
            sample_rate=8000,
            channels=2,
            folder=tmp_path,
            on_segment=lambda segment, files: [path.unlink() for path in files.values()],
        )
        tracemalloc.start()
        for _ in range(seconds):
            sink.write({name: np.zeros((2, 8000), np.float32) for name in NAMES})
        sink.finish()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(240) < 1.2 * peak_bytes(24)
