"""A mix document rendered over blocks of stems."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isomix.audio.blocks import Audio
from isomix.audio.decoders import BLOCK_SAMPLES
from isomix.audio.mixing import count_channels, find_span, render_mix
from isomix.domain.mix import Mix, Track
from isomix.errors import IntegrityError, InvalidOptions, UnknownStem

RATE = 1000
NAMES = ("vocals", "drums", "bass")


def make_stems(samples: int, channels: int = 2) -> dict[str, Audio]:
    draw = np.random.default_rng(samples)
    return {name: draw.uniform(-1, 1, (channels, samples)).astype(np.float32) for name in NAMES}


def blocks(audio: Audio, sizes: list[int]) -> Iterator[Audio]:
    position = 0
    for size in [*sizes, audio.shape[1]]:
        yield audio[:, position : position + size]
        position += size


def render(mix: Mix, stems: dict[str, Audio], sizes: list[int] | None = None, **choices) -> Audio:
    first = next(iter(stems.values()))
    facts = {"sample_rate": RATE, "channels": len(first), "samples": first.shape[1], **choices}
    return np.concatenate(
        list(render_mix(mix, {name: blocks(audio, sizes or []) for name, audio in stems.items()}, **facts)), axis=1
    )


def by_hand(mix: Mix, stems: dict[str, Audio]) -> Audio:
    """Render with the whole in memory and in float64, by the words of the document and the standard."""
    first = next(iter(stems.values()))
    samples = first.shape[1]
    start = round(mix.start_seconds * RATE)
    stop = samples if mix.end_seconds is None else min(round(mix.end_seconds * RATE), samples)
    times = np.arange(stop - start) / RATE
    heard = mix.heard(stems)
    is_panned = any(track.pan for track in heard.values())
    out = np.zeros((2 if is_panned else len(first), stop - start))
    for name, track in heard.items():
        audio = stems[name][:, start:stop] * 10.0 ** ((track.gain_db + mix.gain_db) / 20)
        if track.fade_in_seconds:
            audio = audio * np.clip(times / track.fade_in_seconds, 0, 1)
        if track.fade_out_seconds:
            audio = audio * np.clip((len(times) / RATE - times) / track.fade_out_seconds, 0, 1)
        left, right = (audio[0], audio[-1])
        if track.pan < 0:
            x = track.pan + 1
            audio = np.stack([left + right * math.cos(x * math.pi / 2), right * math.sin(x * math.pi / 2)])
        elif track.pan > 0:
            x = track.pan
            audio = np.stack([left * math.cos(x * math.pi / 2), right + left * math.sin(x * math.pi / 2)])
        out += audio
    return out


gains = st.floats(-20, 12)
fades = st.one_of(st.just(0.0), st.floats(0.001, 3))
tracks = st.builds(
    Track,
    gain_db=gains,
    pan=st.one_of(st.just(0.0), st.floats(-1, 1)),
    mute=st.booleans(),
    solo=st.booleans(),
    fade_in_seconds=fades,
    fade_out_seconds=fades,
)
mixes = st.builds(
    lambda stems, gain_db, start, length: Mix(
        stems=stems, gain_db=gain_db, start_seconds=start, end_seconds=None if length is None else start + length
    ),
    stems=st.dictionaries(st.sampled_from(NAMES), tracks),
    gain_db=gains,
    start=st.floats(0, 0.9),
    length=st.one_of(st.none(), st.floats(0.01, 3)),
)


@settings(max_examples=150, deadline=None)
@given(mix=mixes, samples=st.integers(1000, 3000), channels=st.integers(1, 2))
def test_a_mix_is_what_its_document_says(mix, samples, channels):
    """Gains, pans, fades, mutes, solos and the cut give what the formulas give, sample by sample."""
    stems = make_stems(samples, channels)
    rendered, expected = render(mix, stems), by_hand(mix, stems)
    assert rendered.dtype == np.float32
    assert rendered.shape == expected.shape
    assert len(rendered) == count_channels(mix, NAMES, channels)
    start, stop = find_span(mix, sample_rate=RATE, samples=samples)
    assert rendered.shape[1] == stop - start
    np.testing.assert_allclose(rendered, expected, atol=2e-5)


@settings(max_examples=100, deadline=None)
@given(
    mix=mixes,
    channels=st.integers(1, 2),
    sizes=st.fixed_dictionaries({name: st.lists(st.integers(0, 700), max_size=6) for name in NAMES}),
)
def test_blocks_do_not_matter(mix, channels, sizes):
    """However each stem is cut, and whether unheard stems are given at all: every bit is the same."""
    stems, facts = make_stems(2000, channels), {"sample_rate": RATE, "channels": channels, "samples": 2000}
    whole = render(mix, stems)
    heard = mix.heard(NAMES)
    for names in (NAMES, heard):
        parts = render_mix(mix, {name: blocks(stems[name], sizes[name]) for name in names}, **facts)
        np.testing.assert_array_equal(np.concatenate(list(parts), axis=1), whole)


def test_without_wishes_it_is_the_sum():
    """An empty document sums the stems, in their order, bit for bit, over any number of blocks."""
    stems = make_stems(2 * BLOCK_SAMPLES + 77)
    rendered = list(render_mix(Mix(), {n: [a] for n, a in stems.items()}, sample_rate=RATE, channels=2, samples=131149))
    assert [block.shape[1] for block in rendered] == [BLOCK_SAMPLES, BLOCK_SAMPLES, 77]
    np.testing.assert_array_equal(np.concatenate(rendered, axis=1), stems["vocals"] + stems["drums"] + stems["bass"])


def test_the_gain_of_storing_is_undone():
    """Stems that were stored lower sound as loud as they were made."""
    stems = make_stems(1000)
    stored = {name: audio * np.float32(10 ** (-3 / 20)) for name, audio in stems.items()}
    rendered = render(Mix(), stored, base_gains_db=dict.fromkeys(NAMES, -3.0))
    np.testing.assert_allclose(rendered, render(Mix(), stems), atol=1e-6)


def test_fades_reach_their_ends():
    """A fade in starts at zero and reaches the whole where it ends; a fade out reaches zero just after the last."""
    ones = {"vocals": np.ones((1, 1000), np.float32)}
    track = Track(fade_in_seconds=0.25, fade_out_seconds=0.5)
    (rendered,) = render(Mix(stems={"vocals": track}), ones)
    assert rendered[0] == 0
    assert rendered[125] == 0.5
    assert (rendered[250:501] == 1).all()
    assert rendered[750] == 0.5
    assert rendered[-1] == np.float32(1 / 500)


def test_fades_that_meet_multiply():
    """Where fade in and fade out overlap, both count."""
    ones = {"vocals": np.ones((1, 1000), np.float32)}
    (rendered,) = render(Mix(stems={"vocals": Track(fade_in_seconds=1, fade_out_seconds=1)}), ones)
    assert rendered[500] == 0.25


@pytest.mark.parametrize("fade", [5e-324, 1e-310, 1e308, math.inf])
def test_no_fade_is_too_short_or_too_long(fade):
    """Absurd fades are computed without a warning: too short for a sample, or never done."""
    ones = {"vocals": np.ones((1, 10), np.float32)}
    (rendered,) = render(Mix(stems={"vocals": Track(fade_in_seconds=fade, fade_out_seconds=fade)}), ones)
    assert np.isfinite(rendered).all()
    assert (rendered[1:] == (1 if fade < 1 else 0)).all()


@pytest.mark.parametrize(("pan", "left", "right"), [(-1, 2, 0), (0, 1, 1), (1, 0, 2)])
def test_a_mono_recording_is_panned_as_stereo(pan, left, right):
    """Panned hard, a mono stem is in one channel alone; a mix in which nothing is panned stays mono."""
    ones = {"vocals": np.ones((1, 10), np.float32), "drums": np.zeros((1, 10), np.float32)}
    rendered = render(Mix(stems={"vocals": Track(pan=pan)}), ones)
    assert len(rendered) == (2 if pan else 1)
    np.testing.assert_allclose(rendered[:, 0], [left, right][: len(rendered)], atol=1e-6)


def test_a_pan_that_nobody_hears_leaves_mono():
    """Only tracks that are heard make a mono recording stereo."""
    assert count_channels(Mix(stems={"drums": Track(pan=1, mute=True)}), NAMES, 1) == 1
    assert count_channels(Mix(stems={"drums": Track(pan=1)}), NAMES, 1) == 2
    with pytest.raises(UnknownStem):
        count_channels(Mix(stems={"guitar": Track()}), NAMES, 1)


def test_unheard_stems_are_not_read_and_no_stem_further_than_needed():
    """What is muted is never opened, and reading ends where the mix does."""
    read: list[str] = []

    def watched(name: str) -> Iterator[Audio]:
        for block in np.split(np.ones((1, 1000), np.float32), 10, axis=1):
            read.append(name)
            yield block

    mix = Mix(stems={"drums": Track(mute=True)}, start_seconds=0.1, end_seconds=0.3)
    rendered = render_mix(mix, {name: watched(name) for name in NAMES}, sample_rate=RATE, channels=1, samples=1000)
    assert read == []
    assert sum(block.shape[1] for block in rendered) == 200
    assert {name: read.count(name) for name in NAMES} == {"vocals": 3, "drums": 0, "bass": 3}


def test_if_all_is_muted_it_is_silence_of_the_right_length():
    """A mix in which nothing is heard still has its length."""
    rendered = render(Mix(stems={name: Track(mute=True) for name in NAMES}), make_stems(1000))
    assert rendered.shape == (2, 1000)
    assert not rendered.any()


@pytest.mark.parametrize(
    ("start", "end", "span"), [(0, None, (0, 2000)), (0.0016, 1.4444, (2, 1444)), (1, 99, (1000, 2000))]
)
def test_the_span_is_in_whole_samples(start, end, span):
    """Start and end are rounded to samples; an end beyond the recording is the recording's."""
    assert find_span(Mix(start_seconds=start, end_seconds=end), sample_rate=RATE, samples=2000) == span


@pytest.mark.parametrize(("start", "end"), [(2, None), (2.5, 3), (math.inf, None), (0, 0.0001)])
def test_a_mix_without_a_sample_is_refused_at_once(start, end):
    """A start at or beyond the recording's end is refused before anything is read."""
    mix = Mix(start_seconds=start, end_seconds=end)
    with pytest.raises(InvalidOptions, match="holds no sample") as caught:
        render_mix(mix, {}, sample_rate=RATE, channels=2, samples=2000)
    assert caught.value.option == "start_seconds"


def test_a_heard_stem_that_is_not_there_is_refused_at_once():
    """A document that names a stem which nobody gives is refused with those there are."""
    with pytest.raises(UnknownStem, match="'guitar'; there are vocals, drums, bass"):
        render(Mix(stems={"guitar": Track()}), make_stems(1000))


@pytest.mark.parametrize(("shape", "what"), [((2, 999), "ends at sample 999"), ((1, 1000), "has 1 channels and not 2")])
def test_a_stem_that_is_not_what_the_project_says_is_an_error(shape, what):
    """A stem that is too short or has other channels is never filled up in silence."""
    stems = {"vocals": np.ones((2, 1000), np.float32), "drums": np.ones(shape, np.float32)}
    with pytest.raises(IntegrityError, match=f"the stem drums {what}"):
        render(Mix(), stems)
