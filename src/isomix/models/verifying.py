"""Tell whether the weights on this machine are what they have to be."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import attrs

from isomix.domain.options import EngineOptions
from isomix.domain.weights import StoredFile
from isomix.errors import IntegrityError
from isomix.models.inventory import list_files
from isomix.models.manifest import MANIFEST_FILE, SHA256_DIGITS
from isomix.plugins import installed

Status = Literal["ok", "damaged", "missing"]

_HEADER_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
"""Larger ones the format forbids."""


@attrs.frozen(kw_only=True)
class FileReport:
    """What was found of a file of weights.

    Parameters
    ----------
    name : str
        Its path inside the weights folder, with slashes.
    status : {"ok", "damaged", "missing"}
        What was found.
    path : Path or None
        Where it is.
    checked_by : str
        What vouches for it, such as ``"sha256"``; empty where nothing can.
    reason : str
        What is wrong.
    """

    name: str
    status: Status
    path: Path | None
    checked_by: str = ""
    reason: str = ""


def verify(model: str, *, weights_dir: str | Path | None = None) -> list[FileReport]:
    """Check the files of a model that are on this machine; nothing is fetched or changed.

    Parameters
    ----------
    model : str
        One of `isomix.list_models`.
    weights_dir : path, optional
        The weights folder; None for the environment's or the platform's.

    Returns
    -------
    list of FileReport
        One for each file; empty for a model without weights.

    Raises
    ------
    UnknownModel
        If there is none of that name.
    EngineUnavailable
        If a package is missing that knows which files they are.

    Examples
    --------
    >>> verify("hpss")
    []
    >>> [report.status for report in verify("spleeter:4stems", weights_dir="empty")]
    ['missing', 'missing']
    """
    options = EngineOptions(weights_dir=weights_dir, offline=True)
    return check_files(list_files(installed().get_spec(model, options), options))


def check_files(files: Iterable[StoredFile]) -> list[FileReport]:
    """Check files.

    Parameters
    ----------
    files : iterable of StoredFile
        Of `inventory.list_files`.
    """
    return [_check(file) for file in files]


def _check(file: StoredFile) -> FileReport:
    if file.path is None or not file.path.is_file():
        return FileReport(name=file.name, status="missing", path=None, reason=file.flaw)
    try:
        if file.flaw:
            raise IntegrityError(file.flaw)
        checked_by = _check_content(file.path, file)
    except (IntegrityError, OSError) as error:
        return FileReport(name=file.name, status="damaged", path=file.path, reason=str(error))
    return FileReport(name=file.name, status="ok", path=file.path, checked_by=checked_by)


def _check_content(path: Path, file: StoredFile) -> str:
    """Compare a file with what is known of it, and return what that was."""
    size_bytes = path.stat().st_size
    if file.size_bytes not in (None, size_bytes):
        raise IntegrityError(f"it has {size_bytes} bytes, not {file.size_bytes}")
    if not file.sha256:
        return _check_form(path)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    digits = len(file.sha256)
    if not found.startswith(file.sha256):
        raise IntegrityError(f"its sha256 is {found[:digits]}, not {file.sha256}")
    return "sha256" if digits == SHA256_DIGITS else f"first {digits} digits of sha256"


def _check_form(path: Path) -> str:
    """Use what the format itself has for checks, where no digest is known."""
    if path.name == MANIFEST_FILE:
        return "form"  # it was read; whatever a flipped byte in it changed, the files do not fit
    if path.suffix == ".safetensors":
        return _check_safetensors(path)
    if path.suffix == ".th":
        return _check_zip(path)
    return ""


def _check_safetensors(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(_HEADER_BYTES), "little")
            header = json.loads(stream.read(min(length, _MAX_HEADER_BYTES)))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"it is not a safetensors file: {error}") from error
    if path.stat().st_size != _HEADER_BYTES + length + max(ends, default=0):
        raise IntegrityError("it is longer or shorter than its header says")
    return "length"


def _check_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as zipped:
            bad = zipped.testzip()
    except (ValueError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise IntegrityError(f"it cannot be read: {error}") from error
    if bad is not None:
        raise IntegrityError(f"its part {bad} is damaged")
    return "CRC32"
