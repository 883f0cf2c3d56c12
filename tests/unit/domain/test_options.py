"""Options are checked when they are made."""

from __future__ import annotations

import pickle
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isomix.domain.options import EngineOptions
from isomix.errors import InvalidOptions


@given(st.floats(0, 1, exclude_max=True))
def test_an_overlap_below_one_is_taken(overlap):
    """Every fraction from 0 up to, not including, 1 is an overlap."""
    assert EngineOptions(overlap=overlap).overlap == overlap


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("overlap", 1),
        ("overlap", -0.1),
        ("overlap", float("nan")),
        ("overlap", "0.5"),
        ("shifts", -1),
        ("shifts", 1.0),
        ("shifts", True),
        ("seed", -1),
        ("batch_size", 0),
        ("batch_size", "4"),
        ("precision", "float8"),
        ("on_device_error", "ignore"),
    ],
)
def test_a_value_out_of_range_is_refused(option, value):
    """The refusal is a ValueError that carries the option and the value."""
    with pytest.raises(InvalidOptions, match=option) as caught:
        EngineOptions(**{option: value})
    assert isinstance(caught.value, ValueError)
    assert caught.value.facts["option"] == option
    assert caught.value.value is value


def test_paths_may_be_strings():
    """Folders are given as strings or paths and are kept as paths."""
    options = EngineOptions(repo="weights", weights_dir=Path("store"))
    assert (options.repo, options.weights_dir) == (Path("weights"), Path("store"))


def test_options_do_not_change():
    """Options are values: they are frozen, equal by content, and who listens is no part of them."""
    options = EngineOptions(shifts=2, on_progress=print)
    assert options == EngineOptions(shifts=2)
    assert "print" not in repr(options)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        options.shifts = 3


def test_options_can_be_pickled():
    """A worker process can be handed options."""
    options = EngineOptions(stems=("vocals",), overlap=0.5, repo="weights")
    assert pickle.loads(pickle.dumps(options)) == options
