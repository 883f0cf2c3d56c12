"""What a stored model's folder has to contain: written once, checked at every load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import attrs

from isomix._version import __version__
from isomix.domain.weights import WeightFile, Weights
from isomix.errors import IntegrityError

MANIFEST_FILE = "manifest.json"
SHA256_DIGITS = 64
_DIGEST_ENDING = ".sha256"


@attrs.frozen(kw_only=True)
class Manifest:
    """A record beside a model's files.

    Parameters
    ----------
    weights : str
        Name of the weights.
    licence : str
        Their licence, as it was known then.
    source : str
        Where they came from.
    date : str
        When, ISO 8601, UTC.
    isomix : str
        Version that stored them.
    originals : tuple of WeightFile
        The files that came from the source.
    files : tuple of WeightFile
        The files that are here: the originals, or what they were converted to.
    """

    weights: str
    licence: str
    source: str
    date: str
    isomix: str
    originals: tuple[WeightFile, ...]
    files: tuple[WeightFile, ...]

    @classmethod
    def of(
        cls, weights: Weights, source: str, originals: Iterable[WeightFile], files: Iterable[WeightFile]
    ) -> Manifest:
        """Describe weights that have just been fetched."""
        return cls(
            weights=weights.name,
            licence=weights.licence,
            source=source,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            isomix=__version__,
            originals=tuple(originals),
            files=tuple(files),
        )

    def write(self, folder: Path) -> None:
        """Write the record into a folder."""
        (folder / MANIFEST_FILE).write_text(json.dumps(attrs.asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read a folder's record.

        Raises
        ------
        IntegrityError
            If it is missing or is not such a record.
        """
        path = folder / MANIFEST_FILE
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            for key in ("originals", "files"):
                record[key] = tuple(WeightFile(**file) for file in record[key])
            return cls(**record)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise IntegrityError(f"{path} is not a manifest: {error}", path=str(path)) from error

    def check(self, folder: Path) -> None:
        """Verify that a folder holds the recorded files.

        Raises
        ------
        IntegrityError
            If one is missing or differs.
        """
        for file in self.files:
            check_file(folder / file.name, file)


def get_digest_path(path: Path) -> Path:
    """Return where the digest of a file is written that belongs to no entry, as ``sha256sum`` would write it."""
    return path.with_name(path.name + _DIGEST_ENDING)


def write_digest(path: Path, sha256: str) -> None:
    """Write a file's digest beside it.

    Parameters
    ----------
    path : Path
        The file.
    sha256 : str
        Its digest.
    """
    get_digest_path(path).write_text(f"{sha256}  {path.name}\n", encoding="utf-8")


def read_digest(path: Path) -> str:
    """Return the digest that was written beside a file, or nothing.

    Parameters
    ----------
    path : Path
        The file.
    """
    try:
        digits = get_digest_path(path).read_text(encoding="utf-8").partition(" ")[0]
    except (OSError, UnicodeDecodeError):
        return ""
    return digits if len(digits) == SHA256_DIGITS else ""


def describe_file(path: Path) -> WeightFile:
    """Return a file's name, digest and size.

    Parameters
    ----------
    path : Path
        An existing file.
    """
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return WeightFile(path.name, digest, path.stat().st_size)


def check_file(path: Path, expected: WeightFile) -> WeightFile:
    """Compare a file with what is known of it.

    Parameters
    ----------
    path : Path
        The file.
    expected : WeightFile
        Its size and digest, as far as they are known.

    Returns
    -------
    WeightFile
        What is there, digest and size included.

    Raises
    ------
    IntegrityError
        If it is missing, unreadable or differs.
    """
    try:
        found = describe_file(path)
    except OSError as error:
        raise IntegrityError(f"{path.name} cannot be read: {error}", path=str(path)) from error
    if expected.size_bytes not in (None, found.size_bytes):
        raise IntegrityError(
            f"{path.name} has {found.size_bytes} bytes, not {expected.size_bytes}", path=str(path), found=found
        )
    if expected.sha256 and found.sha256 and not found.sha256.startswith(expected.sha256):
        raise IntegrityError(f"{path.name} has the sha256 {found.sha256}, not {expected.sha256}", path=str(path))
    return found
