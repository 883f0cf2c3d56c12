"""The form of a bundle: one zip file in which every byte is vouched for.

::

    manifest.json           models, version, and the size and sha256 of every other member
    LICENCES.txt            what is known of the licences, for people
    weights/<entry>/<file>  the files, under their paths in the weights folder

Members are stored, not deflated: what is written out is never more than the archive itself. The zip's comment ends in
the sha256 of everything before these digits, so that not one byte, of a member or of the zip's own records, can differ
unnoticed. The hashes guard against damage, not against forgery: whoever can write a bundle can write its hashes.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections import Counter
from typing import IO, Any

import attrs

from isomix._version import __version__
from isomix.domain.weights import WeightFile
from isomix.errors import IntegrityError
from isomix.models.manifest import SHA256_DIGITS

MANIFEST_MEMBER = "manifest.json"
LICENCES_MEMBER = "LICENCES.txt"
WEIGHTS_FOLDER = "weights/"
SEAL = b"isomix bundle; sha256 of every byte before these digits: "
DIRECTORY = "the zip's own records"
"""How errors call what belongs to no member."""

PIECE_BYTES = 1 << 20
_MAX_MANIFEST_BYTES = 1 << 22
_FORMAT = 1
_SEGMENT = re.compile(r"[^\W.][\w.+@=, ()-]*")
"""One part of a path: no separators, no drives, nothing hidden, no way up."""


@attrs.frozen(kw_only=True)
class Bundle:
    """What a bundle holds.

    Parameters
    ----------
    models : tuple of str
        The models it is for.
    isomix : str
        Version that wrote it.
    files : tuple of WeightFile
        Files of weights, by their paths in the weights folder.
    sha256 : str
        Digest that the bundle ends in; two bundles of one digest are the same.
    """

    models: tuple[str, ...]
    isomix: str
    files: tuple[WeightFile, ...]
    sha256: str

    @property
    def size_bytes(self) -> int:
        """Size of the files together."""
        return sum(file.size_bytes or 0 for file in self.files)


def make_manifest(models: tuple[str, ...], members: list[WeightFile]) -> bytes:
    """Return a manifest's bytes.

    Parameters
    ----------
    models : tuple of str
        The models the bundle is for.
    members : list of WeightFile
        Every other member, with size and sha256.
    """
    record = {
        "format": _FORMAT,
        "isomix": __version__,
        "models": list(models),
        "files": [attrs.asdict(member) for member in members],
    }
    return (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()


def read_manifest(zipped: zipfile.ZipFile) -> tuple[dict[str, Any], list[WeightFile]]:
    """Return the manifest of a bundle and the members that it names.

    Raises
    ------
    IntegrityError
        If it is not one, or names what must not be written.
    """
    with zipped.open(MANIFEST_MEMBER) as stream:
        text = stream.read(_MAX_MANIFEST_BYTES)
    try:
        record = json.loads(text)
        members = [WeightFile(**member) for member in record["files"]]
        well_formed = record["format"] == _FORMAT and all(map(_is_described, members)) and _are_strings(record)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise damaged(MANIFEST_MEMBER, f"it cannot be read: {type(error).__name__}") from error
    if not well_formed:
        raise damaged(MANIFEST_MEMBER, "it is not of a form that this version of isomix knows")
    for member in members:
        if not is_safe_name(member.name):
            raise damaged(str(member.name), "its name is not one of a file in the weights folder")
    return record, members


def _is_described(member: WeightFile) -> bool:
    is_sized = isinstance(member.size_bytes, int) and member.size_bytes >= 0
    return is_sized and bool(re.fullmatch(f"[0-9a-f]{{{SHA256_DIGITS}}}", str(member.sha256)))


def _are_strings(record: dict[str, Any]) -> bool:
    models = record["models"]
    return isinstance(models, list) and all(isinstance(text, str) for text in (record["isomix"], *models))


def is_safe_name(name: object) -> bool:
    """Tell whether a member is the licences, or a file of weights that would be written into the weights folder.

    Examples
    --------
    >>> is_safe_name("weights/demucs/955717e8.safetensors"), is_safe_name("weights/../../.bashrc")
    (True, False)
    """
    if name == LICENCES_MEMBER:
        return True
    folder, *parts = str(name).split("/")
    is_inside = f"{folder}/" == WEIGHTS_FOLDER and len(parts) >= 2
    return is_inside and all(_SEGMENT.fullmatch(part) and part[-1] not in ". " for part in parts)


def check_members(zipped: zipfile.ZipFile, members: list[WeightFile], archive_bytes: int) -> None:
    """Refuse an archive that holds anything but what its manifest names, or more than its own size.

    Parameters
    ----------
    zipped : ZipFile
        The archive.
    members : list of WeightFile
        Of the manifest.
    archive_bytes : int
        Size of the file.

    Raises
    ------
    IntegrityError
        If a member is missing, twice there, not named, compressed or of another size.
    """
    sizes = {member.name: member.size_bytes for member in members}
    named = Counter([MANIFEST_MEMBER, *(member.name for member in members)])
    here = Counter(info.filename for info in zipped.infolist())
    if wrong := [name for name in {**named, **here} if named[name] != 1 or here[name] != 1]:
        raise damaged(wrong[0], "the manifest and the archive do not name it once each")
    if len({name.casefold() for name in named}) != len(named):
        raise damaged(MANIFEST_MEMBER, "two of its names are one to some file systems")
    for info in zipped.infolist():
        size_bytes = sizes.get(info.filename, info.file_size)
        if info.compress_type != zipfile.ZIP_STORED or not info.file_size == info.compress_size == size_bytes:
            raise damaged(info.filename, "it is compressed or not as long as the manifest says")
    if sum(info.file_size for info in zipped.infolist()) > archive_bytes:
        raise damaged(DIRECTORY, "its members are larger than itself")


def write_seal(file: IO[bytes]) -> str:
    """Write the digest into the end of an archive whose comment has room for it, and return it.

    Parameters
    ----------
    file : binary file
        Open for reading and writing.
    """
    digest = _hash_all_but_seal(file)
    file.seek(-SHA256_DIGITS, 2)
    file.write(digest.encode())
    return digest


def check_seal(file: IO[bytes]) -> str | None:
    """Return the digest a bundle ends in, or None if it is not that of the bytes before.

    Parameters
    ----------
    file : binary file
        Open for reading.
    """
    size_bytes = file.seek(0, 2)
    if size_bytes < len(SEAL) + SHA256_DIGITS:
        return None
    file.seek(-len(SEAL) - SHA256_DIGITS, 2)
    seal = file.read()
    digest = _hash_all_but_seal(file)
    return digest if seal == SEAL + digest.encode() else None


def _hash_all_but_seal(file: IO[bytes]) -> str:
    left_bytes = file.seek(0, 2) - SHA256_DIGITS
    file.seek(0)
    digest = hashlib.sha256()
    while left_bytes > 0 and (piece := file.read(min(PIECE_BYTES, left_bytes))):
        digest.update(piece)
        left_bytes -= len(piece)
    return digest.hexdigest()


def damaged(member: str, reason: str) -> IntegrityError:
    """Return the error that names a member of a bundle."""
    return IntegrityError(
        f"the bundle is damaged: {member}: {reason}", hint="copy it again, or bundle again", path=member, member=member
    )
