"""Gains of a mix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isomix.audio.mixing import linear_gains
from isomix.errors import UnknownStem

NAMES = ("vocals", "drums", "bass")


def test_without_wishes_all_is_heard_as_it_is():
    """Every stem has the factor 1."""
    assert linear_gains(NAMES) == dict.fromkeys(NAMES, 1.0)


def test_decibels():
    """+20 dB is ten times the amplitude, -6.02 dB half."""
    gains = linear_gains(NAMES, {"vocals": 20, "drums": -6.0206})
    assert gains["vocals"] == 10
    assert gains["drums"] == pytest.approx(0.5, abs=1e-5)
    assert gains["bass"] == 1


@given(mute=st.sets(st.sampled_from(NAMES)), solo=st.sets(st.sampled_from(NAMES)))
def test_mute_and_solo(mute, solo):
    """Heard is what is not muted and, if anything is soloed, soloed."""
    assert set(linear_gains(NAMES, mute=mute, solo=solo)) == (solo or set(NAMES)) - mute


@pytest.mark.parametrize("wish", [{"gains_db": {"guitar": 1}}, {"mute": ["guitar"]}, {"solo": ["guitar"]}])
def test_an_unknown_stem_is_refused(wish):
    """A name that is no stem is refused wherever it stands, with those there are."""
    with pytest.raises(UnknownStem, match="vocals, drums, bass") as caught:
        linear_gains(NAMES, **wish)
    assert caught.value.stem == "guitar"
