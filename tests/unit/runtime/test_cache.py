"""Files that can be made again are whole, or as good as absent."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from isomix.runtime.cache import ABANDONED_SECONDS, UNUSED_SECONDS, read_cached, write_cached


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """The bytes come back, from a folder that was made for them, and nothing else lies there."""
    path = tmp_path / "new" / "a.compiled"
    write_cached(path, memoryview(b"abc"))
    cached = read_cached(path)
    assert cached is not None
    assert cached.tobytes() == b"abc"
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_read_from_nothing(tmp_path: Path) -> None:
    """A file that is not there, or is empty, holds nothing."""
    assert read_cached(tmp_path / "a.compiled") is None
    (tmp_path / "a.compiled").touch()
    assert read_cached(tmp_path / "a.compiled") is None


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"x" + data[1:], lambda data: data[:5]])
def test_damage_is_noticed(tmp_path: Path, damage: object) -> None:
    """A file that was cut short or changed is as good as absent, and can be written again."""
    path = tmp_path / "a.compiled"
    write_cached(path, memoryview(b"abc"))
    path.write_bytes(damage(path.read_bytes()))
    assert read_cached(path) is None
    write_cached(path, memoryview(b"def"))
    assert read_cached(path) is not None


def test_changing_what_was_read_does_not_change_the_file(tmp_path: Path) -> None:
    """The mapping is the reader's own."""
    path = tmp_path / "a.compiled"
    write_cached(path, memoryview(b"abc"))
    cached = read_cached(path)
    assert cached is not None
    cached[:] = 0
    assert read_cached(path) is not None


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    """A cache is a convenience."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.compiled"
    write_cached(path, memoryview(b"abc"))
    assert read_cached(path) is None


def test_what_nobody_uses_is_taken_away(tmp_path: Path) -> None:
    """Files of other versions go when nobody has read them for a season, leftovers of killed processes in a day."""
    for name, age in [
        (".partial-old", ABANDONED_SECONDS),
        (".partial-new", 0),
        ("old.compiled", UNUSED_SECONDS),
        ("read.compiled", UNUSED_SECONDS),
        ("strange.txt", UNUSED_SECONDS),
    ]:
        write_cached(tmp_path / name, memoryview(b"abc"))
        os.utime(tmp_path / name, (0, time.time() - age - 1))
    read_cached(tmp_path / "read.compiled")
    write_cached(tmp_path / "new.compiled", memoryview(b"abc"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".partial-new",
        "new.compiled",
        "read.compiled",
        "strange.txt",
    ]
