"""What a file system's library raises, as boto does: none of it is an ``OSError``."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import isomix
from isomix.errors import ObjectNotFound, StorageError
from isomix.testing.engines import TinyEngine

RECORDING = (np.zeros((2, 44100), np.float32), 44100)


class NoCredentials(Exception):
    """Such as botocore's own."""


class Closed(MemoryFileSystem):
    """A place that lets nobody in."""

    protocol = "closed"
    cachable = False

    def _open(self, *_: object, **__: object) -> object:
        raise NoCredentials("unable to locate credentials")

    def pipe_file(self, *_: object, **__: object) -> None:
        raise NoCredentials("unable to locate credentials")


class Closing(Closed):
    """A place that takes the first object and no more."""

    protocol = "closing"

    def pipe_file(self, *_: object, **__: object) -> None:
        pass

    def rm_file(self, *_: object, **__: object) -> None:
        pass

    def put_file(self, *_: object, **__: object) -> None:
        raise NoCredentials


for system in (Closed, Closing):
    fsspec.register_implementation(system.protocol, system, clobber=True)


def test_a_source_that_cannot_be_reached_is_a_storage_error() -> None:
    """Whatever its library raises is the cause of a typed error with a remedy."""
    with pytest.raises(StorageError, match=r"locate credentials.*do the address, the credentials") as caught:
        isomix.separate("closed://bucket/song.wav", "testing:tiny")
    assert isinstance(caught.value.__cause__, NoCredentials)
    assert not isinstance(caught.value, ObjectNotFound)


def test_a_place_for_stems_that_takes_none_is_told_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine has not seen a sample when the error comes."""
    monkeypatch.setattr(TinyEngine, "_separate", lambda *_: pytest.fail("the engine was asked"))
    with pytest.raises(StorageError, match="locate credentials") as caught:
        isomix.separate(RECORDING, "testing:tiny", output="closed://bucket/stems")
    assert isinstance(caught.value.__cause__, NoCredentials)


def test_a_place_that_closes_meanwhile_is_a_storage_error() -> None:
    """An error without words is told by its name."""
    with pytest.raises(StorageError, match="NoCredentials") as caught:
        isomix.separate(RECORDING, "testing:tiny", output="closing://bucket/stems")
    assert isinstance(caught.value.__cause__, NoCredentials)
