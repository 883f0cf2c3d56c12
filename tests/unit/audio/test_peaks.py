"""The outline of a stem."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isomix.audio.blocks import Audio
from isomix.audio.peaks import PeakMeter


def noise(samples: int, channels: int = 2) -> Audio:
    return np.random.default_rng(samples).uniform(-1.2, 1.2, (channels, samples)).astype(np.float32)


def outline(audio: Audio, sizes: list[int], **choices) -> dict:
    meter, position = PeakMeter(8000, **choices), 0
    for size in [*sizes, audio.shape[1]]:
        meter.add(audio[:, position : position + size])
        position += size
    return meter.to_dict()


def test_it_is_an_audiowaveform_of_version_2():
    """The keys and values are those of BBC audiowaveform's JSON, version 2."""
    meter = PeakMeter(44100)
    meter.add(noise(44100))
    facts = json.loads(meter.to_json())
    assert {key: facts[key] for key in facts if key != "data"} == {
        "version": 2,
        "channels": 1,
        "sample_rate": 44100,
        "samples_per_pixel": 1102,
        "bits": 8,
        "length": 41,
    }
    assert len(facts["data"]) == 82
    assert all(isinstance(value, int) and -128 <= value <= 127 for value in facts["data"])


@pytest.mark.parametrize("rate", [1, 8000, 22050, 44100, 48000, 96000, 192000])
def test_pairs_a_second(rate):
    """At any rate a second has 20 to 50 pairs, or as many as it has samples."""
    meter = PeakMeter(rate)
    meter.add(noise(10 * rate))
    assert min(20, rate) <= meter.to_dict()["length"] / 10 <= 50


@given(
    samples=st.integers(0, 1000),
    channels=st.integers(1, 2),
    samples_per_peak=st.integers(1, 300),
    sizes=st.lists(st.integers(0, 400), max_size=8),
)
def test_blocks_do_not_matter(samples, channels, samples_per_peak, sizes):
    """However the stem is cut, the pairs are the extremes of all channels in each stretch, the last one shorter."""
    audio = noise(samples, channels)
    starts = range(0, samples, samples_per_peak)
    stretches = [audio[:, start : start + samples_per_peak] for start in starts]
    pairs = [level for stretch in stretches for level in (stretch.min(), stretch.max())]
    expected = np.clip(np.rint(np.array(pairs) * 128), -128, 127).tolist()
    assert outline(audio, sizes, samples_per_peak=samples_per_peak)["data"] == expected


def test_opposite_channels_do_not_cancel():
    """A stem whose channels are each other's negative is drawn as loud as it is."""
    left = np.full((1, 100), 0.5, np.float32)
    assert outline(np.concatenate([left, -left]), [], samples_per_peak=100)["data"] == [-64, 64]


def test_a_gain_that_came_later_counts():
    """A stem beyond full scale that was stored lower is drawn as it was stored."""
    meter = PeakMeter(8000, samples_per_peak=4)
    meter.add(np.array([[2.0, -2.0, 1.0, 0.0]], np.float32))
    assert meter.to_dict()["data"] == [-128, 127]
    assert meter.to_dict(gain_db=20 * np.log10(0.25))["data"] == [-64, 64]


def test_what_was_given_is_not_kept():
    """A block that changes after it was given changes nothing."""
    meter, block = PeakMeter(8000, samples_per_peak=4), np.ones((1, 6), np.float32)
    meter.add(block)
    block[:] = -1
    assert meter.to_dict()["data"] == [127, 127, 127, 127]
