"""Object keys lead nowhere but into the store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isomix.domain.keys import (
    attempt_name,
    attempt_prefix,
    check_key,
    make_id,
    mixture_key,
    peaks_key,
    preview_key,
    split_key,
    stem_key,
)
from isomix.errors import StorageError


def test_every_key_of_a_project_is_one_and_tells_its_place() -> None:
    """Keys made of ids pass the check and can be taken apart again."""
    project, job = make_id(), make_id()
    attempt = attempt_name(job, 3)
    prefix = attempt_prefix(project, attempt)
    assert split_key(mixture_key(project, "wav")) == (project, "")
    for key in (stem_key(prefix, 0, "flac"), peaks_key(prefix, 1), preview_key(prefix, 2, 7)):
        assert check_key(key) == key
        assert split_key(key) == (project, attempt)


def test_ids_do_not_repeat() -> None:
    """A thousand ids are a thousand."""
    assert len({make_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "key", ["", "/", "a//b", "../a", "a/../b", "/a", "a\\b", "a\0", "a/./b", "A", "a b", ".staging/a"]
)
def test_what_could_lead_elsewhere_is_refused(key: str) -> None:
    """Empty parts, dots, absolute paths, backslashes, control characters."""
    with pytest.raises(StorageError):
        check_key(key)


@given(st.text())
def test_no_text_gets_out(text: str) -> None:
    """Whatever passes has no part that a file system reads as a way up or out."""
    try:
        key = check_key(text)
    except StorageError:
        return
    parts = key.removesuffix("/").split("/")
    assert all(part and not part.startswith(".") and part.isascii() for part in parts)
