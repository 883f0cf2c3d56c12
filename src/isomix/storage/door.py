"""The door of every store: keys are checked on the way in, exceptions are translated on the way out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from isomix.domain.keys import check_key, make_id
from isomix.errors import IntegrityError, IsomixError, ObjectNotFound, StorageError
from isomix.ports import ObjectStore

ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What a file system raises where there is no such object: nothing, or something else, lies there."""

_REMEDIES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than this process or disk allows",
    errno.EACCES: "the store may not be used with these rights",
    errno.EPERM: "the store may not be used with these rights",
    errno.EROFS: "the disk is read-only",
    errno.ENOTDIR: "an object or file lies where a folder is needed",
    errno.EISDIR: "a folder lies where the object would be",
    errno.ENOENT: "does the bucket or folder exist?",
    errno.EMFILE: "too many files are open",
}


@contextmanager
def as_storage_error(what: str, path: str, *, reading: bool = False) -> Iterator[None]:
    """Translate whatever a disk or a file system's library raises.

    Parameters
    ----------
    what : str
        What is being done, as in ``"projects/ab/mixture.wav cannot be stored in s3://bucket"``.
    path : str
        The key or place, as a fact of the error.
    reading : bool
        Whether a missing file means that there is no such object.

    Raises
    ------
    ObjectNotFound
        If there is no such object.
    StorageError
        For anything else, with the cause chained.
    """
    try:
        yield
    except (IsomixError, MemoryError):
        raise
    except Exception as error:  # each fsspec library has exceptions of its own
        if reading and isinstance(error, ABSENT):
            raise ObjectNotFound(f"there is no object {path}", path=path) from error
        code = errno.ENOENT if isinstance(error, FileNotFoundError) else getattr(error, "errno", None)
        reason = str(error) or type(error).__name__
        raise StorageError(f"{what}: {reason}", hint=_REMEDIES.get(code or 0, ""), path=path) from error


def check_object_key(key: str) -> str:
    """Return a key as it is, if an object can have it.

    Raises
    ------
    StorageError
        If it is none.
    """
    if key.endswith("/"):
        raise StorageError(f"{key!r} is a prefix, not an object key", path=key)
    return check_key(key)


def check_prefix(prefix: str) -> str:
    """Return a prefix as it is, if it is one.

    Raises
    ------
    StorageError
        If it is none.
    """
    if not prefix.endswith("/"):
        raise StorageError(f"{prefix!r} is not a prefix: it does not end in a slash", path=prefix)
    return check_key(prefix)


def is_key(text: str) -> bool:
    """Tell whether something that lies in a store can be one of its objects."""
    try:
        check_object_key(text)
    except StorageError:
        return False
    return True


def check_size(key: str, expected_bytes: int, actual_bytes: int) -> None:
    """Raise unless an object is as large as what it was made of.

    Raises
    ------
    IntegrityError
        If it is not.
    """
    if actual_bytes != expected_bytes:
        raise IntegrityError(
            f"{key} has {actual_bytes} bytes instead of {expected_bytes}", hint="the transfer was cut off", path=key
        )


def probe(store: ObjectStore) -> None:
    """Write, read and delete a small object.

    Raises
    ------
    StorageError
        If the store does not do that.
    """
    key, data = f"check/{make_id()}", make_id().encode()
    store.put_bytes(key, data)
    try:
        with store.open(key) as file:
            if file.read() != data:
                raise IntegrityError(f"{store.url} gives back other bytes than it was given", path=key)
    finally:
        store.delete(key)
