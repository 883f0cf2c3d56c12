"""To an engine's rate and channels, and back to exactly the recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isomix.audio.resample import EngineRate, Resampler, match_channels
from isomix.errors import UnsupportedFormat

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000]


def sine(sample_rate: int, seconds: float = 0.5, frequency_hz: float = 1000) -> np.ndarray:
    tone = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * sample_rate)) / sample_rate)
    return tone.astype(np.float32)[None]


def round_trip(audio: np.ndarray, rate: EngineRate, blocks: list[int], stems: int = 1) -> np.ndarray:
    """Send audio into the engine's rate and straight back as every stem, in blocks of these sizes."""
    out, position, turn = [], 0, 0
    while position < audio.shape[1]:
        size = blocks[turn % len(blocks)]
        out.append(rate.restore(np.stack([rate.push(audio[:, position : position + size])] * stems)))
        position, turn = position + size, turn + 1
    out.append(rate.restore(np.stack([rate.finish()] * stems)))
    return np.concatenate([*out, *rate.restore_rest()], axis=-1)


def open_rate(channels=1, sample_rate=48000, engine_channels=1, engine_sample_rate=44100, stems=1) -> EngineRate:
    return EngineRate(
        stems,
        channels=channels,
        sample_rate=sample_rate,
        engine_channels=engine_channels,
        engine_sample_rate=engine_sample_rate,
    )


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(0, 20_000),
    pair=st.tuples(st.sampled_from(RATES), st.sampled_from([8000, 16000, 44100, 48000])),
    channels=st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)]),
    stems=st.integers(1, 3),
    blocks=st.lists(st.integers(1, 9000), min_size=1, max_size=3),
)
def test_as_many_samples_come_back_as_went_in(samples, pair, channels, stems, blocks):
    """Whatever the rates, channels, length and blocks, stems are exactly as long as the recording."""
    rate = open_rate(channels[0], pair[0], channels[1], pair[1], stems)
    audio = np.zeros((channels[0], samples), np.float32)
    assert round_trip(audio, rate, blocks, stems).shape == (stems, channels[0], samples)


@pytest.mark.parametrize("blocks", [[1 << 16], [777], [1, 5000]])
@pytest.mark.parametrize("sample_rate", [rate for rate in RATES if rate != 44100])
def test_a_sine_comes_back_in_phase(sample_rate, blocks):
    """A 1 kHz sine returns within -60 dB of itself, sample by sample: nothing is delayed."""
    tone = sine(sample_rate)
    back = round_trip(tone, open_rate(sample_rate=sample_rate), blocks)[0]
    inside = slice(sample_rate // 20, -sample_rate // 20)
    assert np.abs(back[:, inside] - tone[:, inside]).max() < 5e-4


@pytest.mark.parametrize("sample_rate", [8000, 48000, 192000])
def test_an_engine_hears_the_sine_where_it_is(sample_rate):
    """At the engine's rate the sine has the phase it has in the recording."""
    rate = open_rate(sample_rate=sample_rate)
    heard = np.concatenate([rate.push(sine(sample_rate)), rate.finish()], axis=1)
    true = sine(44100)[:, : heard.shape[1]]
    assert abs(heard.shape[1] - 22050) <= 1
    assert np.abs(heard[:, 2000:-2000] - true[:, 2000 : heard.shape[1] - 2000]).max() < 5e-4


def test_blocks_do_not_change_what_is_resampled():
    """One block or many: the same samples, to rounding."""
    audio = np.random.default_rng(0).uniform(-1, 1, (1, 10_000)).astype(np.float32)
    once, often = (round_trip(audio, open_rate(), blocks) for blocks in ([10_000], [1, 999, 37]))
    np.testing.assert_allclose(once, often, atol=1e-5)


def test_equal_rates_pass_untouched():
    """Without a change of rate a block is handed on as it is, and nothing is left at the end."""
    resampler, block = Resampler((2,), 44100, 44100), np.ones((2, 10), np.float32)
    assert resampler.push(block) is block
    assert resampler.finish().shape == (2, 0)


def test_mono_is_doubled_and_halved():
    """A mono recording enters a stereo engine on both channels and comes back bit for bit."""
    rate, audio = open_rate(1, 44100, 2), np.random.default_rng(0).standard_normal((1, 1000)).astype(np.float32)
    np.testing.assert_array_equal(rate.push(audio), np.repeat(audio, 2, axis=0))
    np.testing.assert_array_equal(round_trip(audio, open_rate(1, 44100, 2), [300])[0], audio)


def test_stereo_enters_a_mono_engine_as_its_mean():
    """A mono engine hears the mean of both channels, and its stems come back on both."""
    rate = open_rate(2, 44100, 1)
    np.testing.assert_array_equal(rate.push(np.array([[1, 0], [0, 0.5]], np.float32)), [[0.5, 0.25]])
    np.testing.assert_array_equal(rate.restore(np.array([[[0.5, 0.25]]], np.float32)), [[[0.5, 0.25], [0.5, 0.25]]])


@pytest.mark.parametrize(
    ("channels", "left"), [(6, [1, 0, 0.7071, 0, 0.7071, 0]), (8, [1, 0, 0.7071, 0, 0.7071, 0, 0.7071, 0])]
)
def test_surround_is_mixed_down_by_the_standard(channels, left):
    """Each channel enters left and right with the coefficient of ITU-R BS.775; the low-frequency one not at all."""
    order = [1, 0, 2, 3, 5, 4, 7, 6][:channels]
    right = [left[channel] for channel in order]
    each = np.eye(channels, dtype=np.float32)
    np.testing.assert_allclose(match_channels("x", channels, 2)(each), [left, right], atol=1e-4)
    np.testing.assert_allclose(match_channels("x", channels, 1)(each), [np.mean([left, right], axis=0)], atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_mono_and_stereo_are_not_touched(channels):
    """Mono and stereo need no mixing down, whatever the engine."""
    block = np.ones((channels, 3), np.float32)
    assert match_channels("x", channels, 1)(block) is block
    assert match_channels("x", channels, 2)(block) is block


@pytest.mark.parametrize("channels", [0, 3, 4, 5, 7, 16])
def test_other_layouts_are_refused(channels):
    """A layout without a standard way down is refused by name, with the number of channels."""
    with pytest.raises(UnsupportedFormat, match=f"recording.wav has {channels} channels") as caught:
        match_channels("recording.wav", channels, 2)
    assert caught.value.channels == channels
