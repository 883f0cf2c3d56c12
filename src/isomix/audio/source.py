"""Any input becomes blocks of float32.

A source is a path, bytes, a binary file object, an fsspec URL or ``(array, sample_rate)``. It can be read more than
once: each call of `AudioSource.blocks` starts at the beginning. WAV, FLAC, MP3, Ogg, AIFF, CAF, AU and W64 come
through libsndfile; AAC, MP4/M4A, WebM and files with several audio streams through PyAV (``isomix[av]``).
"""

from __future__ import annotations

import io
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO, TypeAlias

import fsspec
import numpy as np
from numpy.typing import ArrayLike

from isomix.audio.blocks import Audio
from isomix.audio.decoders import ArraySource, AudioSource, AvSource, Opener, SndfileSource
from isomix.audio.intake import SNIFF_BYTES, Kind, get_kind
from isomix.audio.url import conceal, reaching
from isomix.domain.limits import Limits
from isomix.errors import InvalidOptions, ObjectNotFound, StorageError

SourceLike: TypeAlias = str | Path | bytes | BinaryIO | tuple[ArrayLike, int]
"""What can be read: see the module."""

_PYAV_KINDS: tuple[Kind, ...] = ("aac", "mp4", "webm")


def open_source(
    source: SourceLike, *, stream: int = 0, name: str | None = None, max_seconds: float | None = None
) -> AudioSource:
    """Open anything that can be read as audio.

    Parameters
    ----------
    source : path, bytes, binary file object, fsspec URL or (array, sample_rate)
        The recording. A file object is read from where it stands to its end.
    stream : int
        Which audio stream of a container that has several (``.stem.mp4``: 0 is the mixture).
    name : str, optional
        How messages call it, such as the name that an upload had; its path or what it is if not given.
    max_seconds : float, optional
        A recording that turns out longer while it is read raises `TooLong`, whatever its header says.

    Returns
    -------
    AudioSource
        Close it, or use it in a ``with`` statement.

    Raises
    ------
    ObjectNotFound
        If there is no such file.
    UnsupportedFormat
        If the content is not audio of a kind that can be read here.
    CorruptAudio
        If it is, but its header cannot be decoded.
    InvalidOptions
        If an array has the wrong shape or there is no such stream.

    Examples
    --------
    >>> with open_source((np.zeros((2, 100), np.float32), 44100)) as source:
    ...     sum(block.shape[1] for block in source.blocks())
    100
    """
    if isinstance(source, tuple):
        if len(source) != 2:
            raise InvalidOptions(
                f"a recording in memory is (array, sample_rate), not {len(source)} values",
                option="source",
                value=len(source),
            )
        opened: AudioSource = ArraySource(*source)
        opened.name = name or opened.name
    else:
        opened = _open_encoded(source, stream, name)
    opened.limits = Limits(max_seconds=max_seconds)
    return opened


def _open_encoded(source: str | Path | bytes | BinaryIO, stream: int, name: str | None) -> AudioSource:
    resources = ExitStack()
    with resources:
        own_name, opener = _opener(source, resources)
        opened = _decoder(name or own_name, opener, stream)
        opened._resources = resources.pop_all()
    return opened


def _decoder(name: str, opener: Opener, stream: int) -> AudioSource:
    kind = get_kind(_head(opener), name)
    if kind in _PYAV_KINDS or stream:
        return AvSource(name, opener, stream)
    source = SndfileSource(name, opener)
    return AvSource(name, opener, stream) if source.needs_pyav else source


def _opener(source: str | Path | bytes | BinaryIO, resources: ExitStack) -> tuple[str, Opener]:
    if isinstance(source, bytes):
        return "the bytes", lambda: io.BytesIO(source)
    if isinstance(source, str | Path):
        return _path_opener(str(source), resources)
    if not hasattr(source, "read"):
        raise InvalidOptions(
            f"{type(source).__name__} cannot be read as a recording",
            hint="a recording is a path, bytes, a binary file, an fsspec URL or (array, sample_rate)",
            option="source",
            value=type(source).__name__,
        )
    if isinstance(source, io.TextIOBase):
        raise InvalidOptions('a recording is bytes, not text: open it with "rb"', option="source", value="text")
    name = str(getattr(source, "name", None) or "the file object")
    path = _copy(name, source, resources)
    return name, lambda: path


def _path_opener(path: str, resources: ExitStack) -> tuple[str, Opener]:
    if "://" in path:
        local = _fetch(path, resources)
        return conceal(path), lambda: local
    try:
        is_file, what = Path(path).is_file(), "is not a file" if Path(path).exists() else "does not exist"
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error}", path=path) from error
    if not is_file:
        raise ObjectNotFound(f"{path} {what}", hint="name an audio file", path=path)
    return path, lambda: path


def _fetch(url: str, resources: ExitStack) -> str:
    shown = conceal(url)
    with reaching(url, "read"):
        try:
            with fsspec.open(url, "rb") as file:
                return _copy(shown, file, resources)
        except FileNotFoundError as error:
            if not _is_absence(error):
                reason = str(_root_of(error)).replace(url, shown)
                hint = "is the server up, and does it allow it?"
                raise StorageError(f"{shown} cannot be read: {reason}", hint=hint, path=shown) from error
            raise ObjectNotFound(f"there is nothing at {shown}", path=shown) from error


def _is_absence(error: FileNotFoundError) -> bool:
    """Tell whether nothing is there: over HTTP, fsspec tells whatever went wrong as that, and behind it what it was."""
    root = _root_of(error)
    return root is error or getattr(root, "status", None) in (404, 410)


def _root_of(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _copy(name: str, file: IO[bytes] | BinaryIO, resources: ExitStack) -> str:
    """Copy to a temporary file: decoders seek, and a recording may be read twice."""
    folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="isomix-")))
    try:
        with (folder / "recording").open("wb") as copy:
            shutil.copyfileobj(file, copy)
    except (OSError, ValueError) as error:
        raise StorageError(f"{name} cannot be read: {error}", path=name) from error
    return copy.name


def _head(opener: Opener) -> bytes:
    opened = opener()
    try:
        with Path(opened).open("rb") if isinstance(opened, str) else opened as file:
            return file.read(SNIFF_BYTES)
    except OSError as error:
        raise StorageError(f"{opened} cannot be read: {error}", path=str(opened)) from error


def read(source: SourceLike, *, stream: int = 0) -> tuple[Audio, int]:
    """Read a whole recording into memory.

    Parameters
    ----------
    source : path, bytes, binary file object, fsspec URL or (array, sample_rate)
        The recording.
    stream : int
        Which audio stream of a container that has several.

    Returns
    -------
    audio : ndarray of shape (channels, samples), float32
    sample_rate : int
        In Hz.

    Raises
    ------
    AudioRejected
        If it cannot be read as audio.

    Examples
    --------
    >>> audio, sample_rate = read((np.zeros((1, 10), np.float32), 8000))
    >>> audio.shape, sample_rate
    ((1, 10), 8000)
    """
    with open_source(source, stream=stream) as opened:
        blocks = list(opened.blocks())
        empty = np.zeros((opened.channels, 0), np.float32)
        return np.concatenate([empty, *blocks], axis=1), opened.sample_rate
