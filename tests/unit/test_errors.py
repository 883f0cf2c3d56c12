"""The error tree: what the module draws is what there is, and errors travel between processes."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import re

import pytest

from isomix import errors
from isomix.errors import IsomixError

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, IsomixError) and kind.__module__ == errors.__name__
}
ROW = re.compile(r"^ {4}(?P<branch>[| ]*)\|- (?P<name>\w+)(?: \((?P<builtin>\w+)\))? *(?P<status>\d{3})?")


def drawn_tree() -> dict[str, tuple[str, str | None, int | None]]:
    """Read name -> (parent, built-in base, status) from the module's docstring."""
    tree: dict[str, tuple[str, str | None, int | None]] = {}
    path = ["IsomixError"]
    for line in (errors.__doc__ or "").splitlines():
        if row := ROW.match(line):
            depth = len(row["branch"]) // 3 + 1
            path[depth:] = [row["name"]]
            tree[row["name"]] = (path[depth - 1], row["builtin"], int(row["status"]) if row["status"] else None)
    return tree


def test_the_drawing_is_the_tree():
    """Every class is drawn below its parent, with the built-in it also is, and nothing else is drawn."""
    actual = {}
    for name, kind in CLASSES.items():
        if kind is not IsomixError:
            parent, *others = kind.__bases__
            actual[name] = (parent.__name__, others[0].__name__ if others else None)
    assert {name: row[:2] for name, row in drawn_tree().items()} == actual


def test_the_drawn_statuses_are_the_statuses():
    """A status beside a class in the drawing is the one that HTTP layers get."""
    drawn = {name: status for name, (_, _, status) in drawn_tree().items() if status}
    assert len(drawn) > 10
    assert drawn == {name: CLASSES[name].status_hint for name in drawn}


def test_codes_are_unique():
    """No two errors share a code."""
    codes = [kind.code for kind in CLASSES.values()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"])
def test_errors_travel(kind, travel):
    """An error that was pickled or copied keeps its class, words and facts."""
    error = kind("it broke", hint="mend it", path="x.wav", limit_bytes=3)
    back = travel(error)
    assert type(back) is kind
    assert str(back) == "it broke (mend it)"
    assert (back.message, back.hint, back.facts) == ("it broke", "mend it", {"path": "x.wav", "limit_bytes": 3})
    assert (back.path, back.limit_bytes) == ("x.wav", 3)


def test_a_message_without_a_hint_stands_alone():
    """Without a hint there are no empty brackets."""
    assert str(IsomixError("it broke")) == "it broke"


@pytest.mark.parametrize(("name", "row"), drawn_tree().items(), ids=drawn_tree())
def test_builtins_catch_their_kin(name, row):
    """Where the drawing names a built-in, `except` with the built-in catches the error."""
    builtin = getattr(builtins, row[1]) if row[1] else Exception
    with pytest.raises(builtin):
        raise CLASSES[name]("it broke")
