"""Objects under keys, in a folder or at any fsspec URL.

- `door` checks keys on the way in and translates what other libraries raise on the way out.
- `folder` is a folder of this machine, where an object appears by a rename.
- `remote` is every other place; `transfer` knows what is particular about some of them.
- `staging` makes the folders in which files wait to be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from isomix.errors import InvalidOptions
from isomix.ports import ObjectStore
from isomix.storage.folder import FolderStore
from isomix.storage.remote import RemoteStore

_LOCAL = ("file", "local")
_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def open_store(place: str | Path, options: Mapping[str, Any] = _NO_OPTIONS) -> ObjectStore:
    """Return the store at a place; nothing is read or written yet (see `ObjectStore.check`).

    Parameters
    ----------
    place : str or path
        A folder, or an fsspec URL: ``"s3://BUCKET/PREFIX"``, ``"gs://BUCKET"``, ``"memory://NAME"``,
        ``"sftp://HOST/FOLDER"``. A folder need not exist, a bucket has to.
    options : mapping
        Keyword arguments of the fsspec file system; a folder has none.

    Raises
    ------
    InvalidOptions
        If there is no such kind of place, or it has no such options.
    StorageError
        If a package is missing, or a file lies where the folder should be.

    Examples
    --------
    >>> store = open_store("memory://docs")
    >>> store.put_bytes("projects/ab12/mixture.wav", b"RIFF")
    >>> store.get_info("projects/ab12/mixture.wav").size_bytes
    4
    """
    protocol, separator, path = str(place).partition("://")
    if separator and protocol not in _LOCAL:
        return RemoteStore(str(place), options)
    if options:
        raise InvalidOptions(
            f"the folder {place} takes no options: {', '.join(sorted(options))}", option="options", value=dict(options)
        )
    return FolderStore(Path(path if separator else place))
