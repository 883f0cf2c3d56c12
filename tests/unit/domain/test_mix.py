"""The mix document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isomix.domain.mix import Mix, Track
from isomix.errors import InvalidOptions, UnknownStem


def test_a_document_survives_json() -> None:
    """What is written is what is read."""
    mix = Mix(
        stems={"vocals": Track(gain_db=-3, pan=0.5, fade_in_seconds=1), "drums": Track(solo=True)},
        gain_db=-1,
        start_seconds=2,
        end_seconds=8,
    )
    assert Mix.from_dict(json.loads(json.dumps(mix.to_dict()))) == mix


@pytest.mark.parametrize(
    "facts",
    [
        {"stems": {"vocals": {"gain_db": "loud"}}},
        {"stems": {"vocals": {"gain_db": float("nan")}}},
        {"stems": {"vocals": {"gain_db": 61}}},
        {"stems": {"vocals": {"pan": -1.5}}},
        {"stems": {"vocals": {"mute": 1}}},
        {"stems": {"vocals": {"volume": 1}}},
        {"stems": {"vocals": []}},
        {"stems": []},
        {"gain_db": True},
        {"start_seconds": -1},
        {"start_seconds": 3, "end_seconds": 3},
        {"end_seconds": "later"},
        {"tempo": 2},
    ],
)
def test_a_document_that_makes_no_sense_is_refused(facts: dict[str, Any]) -> None:
    """The option and its value are named."""
    with pytest.raises(InvalidOptions) as caught:
        Mix.from_dict(facts)
    assert caught.value.facts["option"]


def test_mute_beats_solo_and_solo_beats_the_rest() -> None:
    """A stem that is mute and solo is silent; beside a solo, others are."""
    mix = Mix(stems={"vocals": Track(solo=True), "drums": Track(solo=True, mute=True)})
    assert list(mix.heard(["vocals", "drums", "bass"])) == ["vocals"]


def test_a_mix_of_a_stem_that_is_not_there_is_refused() -> None:
    """The stems there are, are named."""
    with pytest.raises(UnknownStem, match="vocals"):
        Mix(stems={"guitar": Track()}).heard(["vocals"])
