"""Unpack a bundle: everything is verified before anything is moved into place."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from isomix.domain.weights import WeightFile
from isomix.errors import IntegrityError, ObjectNotFound, StorageError
from isomix.models.archive import (
    DIRECTORY,
    MANIFEST_MEMBER,
    PIECE_BYTES,
    WEIGHTS_FOLDER,
    Bundle,
    check_members,
    check_seal,
    damaged,
    read_manifest,
)
from isomix.models.manifest import MANIFEST_FILE, Manifest, get_digest_path, write_digest
from isomix.models.store import WeightsStore

_NONSENSE = (
    ValueError,
    KeyError,
    RuntimeError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What the archive module raises when it is given nonsense."""
_UNREADABLE = (*_NONSENSE, OSError)
"""The same where no file is written: it also seeks to places that are none."""


def import_bundle(path: str | Path, *, weights_dir: str | Path | None = None) -> Bundle:
    """Install the weights of a bundle; no network is needed.

    Parameters
    ----------
    path : path
        What `bundle` wrote.
    weights_dir : path, optional
        The weights folder; None for the environment's or the platform's.

    Returns
    -------
    Bundle
        What was in it.

    Raises
    ------
    IntegrityError
        If a single byte of it is not as it was written; the member that holds it is named, and nothing is installed.
    ObjectNotFound
        If there is no such file.
    StorageError
        If it cannot be read, or the weights folder cannot be written.

    Examples
    --------
    >>> import_bundle("nowhere.zip")
    Traceback (most recent call last):
    isomix.errors.ObjectNotFound: there is no file nowhere.zip
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ObjectNotFound(f"there is no file {path}", path=str(path))
    try:
        with path.open("rb") as file:
            digest = check_seal(file)
            if digest is None:
                raise _find_damage(file)
            return _install(file, digest, WeightsStore(weights_dir))
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{path} cannot be imported: {error}", path=str(path)) from error


def _install(file: IO[bytes], digest: str, store: WeightsStore) -> Bundle:
    with store.open_temporary() as temporary:
        try:
            with zipfile.ZipFile(file) as zipped:
                bundle = _unpack(zipped, digest, file.seek(0, 2), temporary)
        except _NONSENSE as error:
            raise damaged(DIRECTORY, str(error)) from error
        entries = _check_entries(bundle, temporary / WEIGHTS_FOLDER)
        for entry in entries:
            store.publish(entry, temporary / WEIGHTS_FOLDER / entry, temporary)
        for member in bundle.files:
            if member.name.partition("/")[0] not in entries:
                move(temporary / WEIGHTS_FOLDER / member.name, store.folder / member.name, member.sha256 or "")
    return bundle


def _unpack(zipped: zipfile.ZipFile, digest: str, archive_bytes: int, folder: Path) -> Bundle:
    """Write the members into a folder, each verified."""
    record, members = read_manifest(zipped)
    check_members(zipped, members, archive_bytes)
    for member in members:
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as copy:
            _read_member(zipped, member, copy)
    weights = [member for member in members if member.name.startswith(WEIGHTS_FOLDER)]
    return Bundle(
        models=tuple(record["models"]),
        isomix=record["isomix"],
        files=tuple(
            WeightFile(member.name.removeprefix(WEIGHTS_FOLDER), member.sha256, member.size_bytes) for member in weights
        ),
        sha256=digest,
    )


def _read_member(zipped: zipfile.ZipFile, member: WeightFile, copy: IO[bytes] | None = None) -> None:
    """Read a member to its end, no further than it may go, and compare it with the manifest."""
    digest, left_bytes = hashlib.sha256(), member.size_bytes or 0
    with zipped.open(member.name) as stream:
        while left_bytes > 0 and (piece := stream.read(min(PIECE_BYTES, left_bytes))):
            left_bytes -= len(piece)
            digest.update(piece)
            if copy is not None:
                copy.write(piece)
    if digest.hexdigest() != member.sha256:
        raise damaged(member.name, "its sha256 is not that of the manifest")


def _check_entries(bundle: Bundle, folder: Path) -> list[str]:
    """Return the entries of the store among the files, each whole and with a manifest of its own that it fits."""
    entries = [name for file in bundle.files for name, _, rest in [file.name.partition("/")] if rest == MANIFEST_FILE]
    for entry in entries:
        manifest = Manifest.read(folder / entry)
        manifest.check(folder / entry)
        here = {file.name for file in bundle.files if file.name.startswith(f"{entry}/")}
        named = {f"{entry}/{name}" for name in (MANIFEST_FILE, *(file.name for file in manifest.files))}
        if manifest.weights != entry or here != named:
            raise damaged(f"{WEIGHTS_FOLDER}{entry}/{MANIFEST_FILE}", "it is not the record of the files beside it")
    return entries


def move(source: Path, target: Path, sha256: str) -> None:
    """Put a file in its place, and its digest beside it, by which it is verified from now on.

    Parameters
    ----------
    source, target : Path
        Where it is and where it goes, on one disk.
    sha256 : str
        Its digest.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    get_digest_path(target).unlink(missing_ok=True)
    source.replace(target)
    write_digest(target, sha256)


def _find_damage(file: IO[bytes]) -> IntegrityError:
    """Return the error that names the first member that is not as it was written; nothing is kept of what is read."""
    try:
        with zipfile.ZipFile(file) as zipped:
            return _find_damaged_member(zipped, file.seek(0, 2))
    except IntegrityError as error:
        return error
    except _UNREADABLE as error:
        return damaged(DIRECTORY, f"it is not a bundle of isomix, or not whole: {error}")


def _find_damaged_member(zipped: zipfile.ZipFile, archive_bytes: int) -> IntegrityError:
    try:
        _, members = read_manifest(zipped)
    except _UNREADABLE as error:
        if isinstance(error, IntegrityError):
            raise
        raise damaged(MANIFEST_MEMBER, str(error)) from error
    check_members(zipped, members, archive_bytes)
    for member in members:
        try:
            _read_member(zipped, member)
        except _UNREADABLE as error:
            if isinstance(error, IntegrityError):
                raise
            raise damaged(member.name, str(error)) from error
    return damaged(DIRECTORY, "every member is as it was written, but what the zip says of them is not")
