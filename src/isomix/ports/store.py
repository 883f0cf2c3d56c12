"""The seam to storage: bytes under keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import attrs


@attrs.frozen
class ObjectInfo:
    """What a store knows of an object.

    Parameters
    ----------
    key : str
        Its key.
    size_bytes : int
        Size.
    modified_at : datetime
        When it was stored, in UTC.
    """

    key: str
    size_bytes: int
    modified_at: datetime


class ObjectStore(ABC):
    """Keeps bytes under keys. An object is there whole or not at all; writing again replaces it whole.

    Every method raises `StorageError` if the store cannot be reached or refuses, or if a key is not one
    (`isomix.domain.keys.check_key`).
    """

    url: str
    """Where it is, for people."""

    @abstractmethod
    def put_file(self, key: str, path: Path) -> None:
        """Store the bytes of a local file, which is given away: it may be moved, and is gone afterwards.

        Raises
        ------
        IntegrityError
            If what was stored has another size.
        """

    @abstractmethod
    def put_bytes(self, key: str, data: bytes) -> None:
        """Store bytes."""

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """Return a readable, seekable file on an object, which never holds the whole in memory.

        Raises
        ------
        ObjectNotFound
            If there is none.
        """

    @abstractmethod
    def local_file(self, key: str, sha256: str | None = None) -> AbstractContextManager[Path]:
        """Give an object as a local file: itself where the store is a folder, else a copy that is gone on exit.

        Parameters
        ----------
        key : str
            Of the object.
        sha256 : str, optional
            What a copy is checked against.

        Raises
        ------
        ObjectNotFound
            If there is none.
        IntegrityError
            If a copy is not what it has to be.
        """

    @abstractmethod
    def get_info(self, key: str) -> ObjectInfo:
        """Return size and age.

        Raises
        ------
        ObjectNotFound
            If there is none.
        """

    @abstractmethod
    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys start with a prefix that ends in ``/``; none if there are none."""

    @abstractmethod
    def copy_prefix(self, source: str, target: str) -> None:
        """Copy every object of one prefix to another, inside the store.

        Raises
        ------
        ObjectNotFound
            If there are none.
        """

    @abstractmethod
    def delete_prefix(self, prefix: str) -> None:
        """Delete every object of a prefix; deleting what is not there is harmless."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object; deleting what is not there is harmless."""

    @abstractmethod
    def sign_url(self, key: str, expires_seconds: float, filename: str) -> str | None:
        """Return an address where anybody can fetch an object for some time, as a download of that name.

        None where the store has no such addresses.
        """

    @abstractmethod
    def make_staging(self) -> AbstractContextManager[Path]:
        """Give a new local folder in which files for `put_file` are made, on the store's own disk where it has one.

        It is removed on exit; what a killed process leaves behind, `sweep_staging` removes.
        """

    @abstractmethod
    def sweep_staging(self, older_than: datetime) -> int:
        """Remove staging folders that were last touched before a moment; return how many."""

    @abstractmethod
    def check(self) -> None:
        """Write, read and delete a small object, or raise."""

    def close(self) -> None:  # noqa: B027 - most stores have nothing to let go of
        """Let go of connections; closing twice is harmless."""
