"""Limits of tiers, and the bounds of preview segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isomix.domain.limits import FREE, PRO, UNLIMITED
from isomix.domain.preview import Preview, segment_start
from isomix.errors import QuotaExceeded, TooLarge, TooLong, UnsupportedFormat


def test_each_limit_refuses_with_its_facts() -> None:
    """Limit and actual value are attributes of the error."""
    with pytest.raises(TooLarge) as large:
        FREE.check_size(FREE.max_bytes + 1)
    assert large.value.facts == {"limit_bytes": FREE.max_bytes, "actual_bytes": FREE.max_bytes + 1}
    with pytest.raises(TooLong):
        FREE.check_duration(FREE.max_seconds + 0.1)
    with pytest.raises(UnsupportedFormat, match="ogg"):
        FREE.check_kind("ogg", "song.wav")
    with pytest.raises(QuotaExceeded) as used:
        FREE.check_projects(10)
    assert (used.value.facts["limit"], used.value.facts["actual"]) == (10, 10)
    with pytest.raises(QuotaExceeded):
        PRO.check_jobs(5)


def test_what_is_at_the_limit_passes() -> None:
    """The limit itself is allowed, an unknown duration too, and everything where there is no limit."""
    FREE.check_size(FREE.max_bytes)
    FREE.check_duration(FREE.max_seconds)
    FREE.check_duration(None)
    FREE.check_projects(9)
    for check in (UNLIMITED.check_size, UNLIMITED.check_duration, UNLIMITED.check_projects, UNLIMITED.check_jobs):
        assert check(10**12) is None


@given(st.integers(0, 10**7), st.sampled_from([8000, 44100, 48000]))
def test_segments_cover_what_is_playable_without_gap(samples: int, sample_rate: int) -> None:
    """Segment after segment, from the first sample to the last that is stored."""
    preview = Preview(attempt="a-1", stems=("v",), sample_rate=sample_rate, playable_samples=samples, complete=True)
    position = 0
    for number, segment in enumerate(preview.segments()):
        assert (segment.index, segment.start) == (number, position)
        assert 0 < segment.samples <= 6 * sample_rate
        position += segment.samples
    assert position == samples


def test_the_first_segments_are_short() -> None:
    """Sound can start after one second of audio; later segments are six seconds long."""
    assert [segment_start(index, 1000) for index in (0, 1, 2, 3, 4)] == [0, 1000, 3000, 6000, 12000]
