"""Which stems are computed for a wish, and which follow by subtraction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isomix.domain.stems import StemPlan
from isomix.errors import InvalidOptions, UnknownStem

FOUR = ("drums", "bass", "other", "vocals")


def test_no_wish_is_everything():
    """Without a wish the caller gets the model's stems, in the model's order."""
    plan = StemPlan.of("m", FOUR, None)
    assert plan.names == plan.computed == FOUR
    assert plan.has_all
    assert not plan.subtracted


@given(st.lists(st.sampled_from([*FOUR, "accompaniment", "residual"]), min_size=1))
def test_the_engine_computes_what_is_needed(wanted):
    """Names come out once, in the order of the wish; computed stems are those they need, in the model's order."""
    plan = StemPlan.of("m", FOUR, wanted)
    needed = set(wanted) & set(FOUR)
    needed |= {"vocals"} if "accompaniment" in wanted else set()
    needed |= set(FOUR) if "residual" in wanted else set()
    assert plan.names == tuple(dict.fromkeys(wanted))
    assert plan.computed == tuple(stem for stem in FOUR if stem in needed)
    assert plan.has_all == (needed == set(FOUR))
    assert set(plan.subtracted) == set(wanted) - set(FOUR)


def test_accompaniment_is_the_mixture_without_vocals():
    """Only the vocals are computed for an accompaniment."""
    plan = StemPlan.of("m", FOUR, ["accompaniment"])
    assert plan.computed == ("vocals",)
    assert plan.subtracted == {"accompaniment": ("vocals",)}


def test_a_models_own_accompaniment_is_not_derived():
    """A model that gives an accompaniment is asked for it."""
    plan = StemPlan.of("m", ("vocals", "accompaniment"), ["accompaniment"])
    assert plan.computed == ("accompaniment",)
    assert not plan.subtracted


@pytest.mark.parametrize(
    ("stems", "wanted"), [(FOUR, "guitar"), (("drums", "bass"), "accompaniment"), (FOUR, "Vocals"), (FOUR, "")]
)
def test_an_unknown_stem_is_refused_with_those_there_are(stems, wanted):
    """The refusal names the model, the stem and the stems that can be had."""
    with pytest.raises(UnknownStem, match="bass") as caught:
        StemPlan.of("m", stems, [wanted])
    assert (caught.value.model, caught.value.stem) == ("m", wanted)
    assert set(stems) | {"residual"} <= set(caught.value.known)


def test_an_empty_wish_is_refused():
    """To wish for no stem at all is a mistake, not a wish for everything."""
    with pytest.raises(InvalidOptions):
        StemPlan.of("m", FOUR, [])
