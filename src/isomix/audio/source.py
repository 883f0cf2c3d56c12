"""Any input becomes blocks of float32.

A source is a path, bytes, a binary file object, an fsspec URL or ``(array, sample_rate)``. It can be read more than
once: each call of `AudioSource.blocks` starts at the beginning. WAV, FLAC, MP3, Ogg, AIFF, CAF, AU and W64 come
through libsndfile; AAC, MP4/M4A, WebM and files with several audio streams through PyAV (``isomix[av]``).
"""

from __future__ import annotations

import io
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from numbers import Real
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Self, TypeAlias

import fsspec
import numpy as np
import soundfile
from numpy.typing import ArrayLike

from isomix.audio.blocks import Audio
from isomix.audio.intake import SNIFF_BYTES, Kind, find_kind
from isomix.errors import CorruptAudio, InvalidOptions, ObjectNotFound, StorageError, UnsupportedFormat

BLOCK_SAMPLES = 1 << 16
"""Samples per block, about 1.5 s at 44.1 kHz: small against a segment, large against the cost of a call."""

SourceLike: TypeAlias = str | Path | bytes | BinaryIO | tuple[ArrayLike, int]
"""What can be read: see the module."""

Opener: TypeAlias = Callable[[], "str | IO[bytes]"]

_PYAV_KINDS: tuple[Kind, ...] = ("aac", "mp4", "webm")


class AudioSource(ABC):
    """A recording that can be read in blocks, from the start, as often as needed.

    Parameters
    ----------
    name : str
        How messages call it.
    sample_rate : int
        In Hz.
    channels : int
        Count.
    expected_samples : int or None
        Length by the header; the truth is what `blocks` gives.
    """

    def __init__(self, name: str, sample_rate: int, channels: int, expected_samples: int | None) -> None:
        self.name = name
        self.sample_rate = sample_rate
        self.channels = channels
        self.expected_samples = expected_samples
        self._resources = ExitStack()

    def blocks(self) -> Generator[Audio, None, None]:
        """Yield the recording from its start as ``(channels, samples)`` float32 blocks.

        Raises
        ------
        CorruptAudio
            If it cannot be decoded to its end, or holds a value that is not finite.
        """
        position = 0
        for block in self._blocks():
            if not np.isfinite(block).all():
                first = position + int(np.argmin(np.isfinite(block).all(axis=0)))
                raise CorruptAudio(
                    f"{self.name} holds a value that is not finite (NaN or infinity) at sample {first}",
                    hint="write the file again from a clean source",
                    name=self.name,
                    sample=first,
                )
            position += block.shape[-1]
            yield block

    @abstractmethod
    def _blocks(self) -> Iterator[Audio]:
        """Yield decoded blocks; `blocks` checks them."""

    def close(self) -> None:
        """Remove temporary copies; closing twice is harmless."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ArraySource(AudioSource):
    """A recording that is in memory already.

    Parameters
    ----------
    audio : array_like of shape (channels, samples)
        Floating point; read as float32, never changed.
    sample_rate : int
        In Hz.
    """

    def __init__(self, audio: ArrayLike, sample_rate: int) -> None:
        array = np.asarray(audio)
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
            raise InvalidOptions(
                f"audio must be floating point of shape (channels, samples), not {array.dtype} {array.shape}",
                hint="mono is (1, samples); transpose (samples, channels); divide int16 by 32768",
                option="source",
                value=array.shape,
            )
        self._array = array
        super().__init__("the array", _checked_rate(sample_rate), array.shape[0], array.shape[1])

    def _blocks(self) -> Iterator[Audio]:
        for start in range(0, self._array.shape[1], BLOCK_SAMPLES):
            # A copy: blocks wait in buffers, and the caller's array may change meanwhile.
            with np.errstate(over="ignore"):  # a float64 that float32 cannot hold is reported as not finite
                block = self._array[:, start : start + BLOCK_SAMPLES].astype(np.float32)
            yield block


class SndfileSource(AudioSource):
    """A recording that libsndfile decodes."""

    def __init__(self, name: str, opener: Opener) -> None:
        self._opener = opener
        with self._open(name) as file:
            super().__init__(name, file.samplerate, file.channels, file.frames)
            # libsndfile leaves Vorbis' own channel order (left, centre, right, ...); FFmpeg brings it to that of WAV.
            is_vorbis_surround = file.format == "OGG" and file.channels > 2
            # A FLAC that was streamed when it was made does not tell its length; libsndfile cannot read its end.
            is_endless = file.frames == np.iinfo(np.int64).max
            self.needs_pyav = is_vorbis_surround or is_endless

    def _open(self, name: str) -> soundfile.SoundFile:
        try:
            return soundfile.SoundFile(self._opener())
        except soundfile.SoundFileError as error:
            raise _corrupt(name, error) from error

    def _blocks(self) -> Iterator[Audio]:
        with self._open(self.name) as file:
            while True:
                try:
                    block = file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)
                except soundfile.SoundFileError as error:
                    raise _corrupt(self.name, error) from error
                if not len(block):
                    return
                yield np.ascontiguousarray(block.T)


class AvSource(AudioSource):
    """A recording, or one of the audio streams of a file, that PyAV (FFmpeg) decodes."""

    def __init__(self, name: str, opener: Opener, stream: int) -> None:
        try:
            import av  # the extra `av`: only some formats need it
        except ImportError as error:
            raise UnsupportedFormat(
                f"{name} needs PyAV to be read", hint='pip install "isomix[av]"', name=name
            ) from error
        self._av, self._opener, self._stream = av, opener, stream
        with self._open(name) as container:
            streams = container.streams.audio
            if not streams:
                raise UnsupportedFormat(f"{name} holds no audio", name=name)
            if not 0 <= stream < len(streams):
                raise InvalidOptions(
                    f"{name} has {len(streams)} audio streams; there is no stream {stream}",
                    option="stream",
                    value=stream,
                )
            chosen = streams[stream]
            if chosen.codec_context is None:  # protected music from a shop is such a case
                raise UnsupportedFormat(f"{name} is encoded in a way that PyAV does not know", name=name)
            base = chosen.time_base
            expected = None if chosen.duration is None or base is None else round(chosen.duration * base * chosen.rate)
            super().__init__(name, chosen.rate, chosen.codec_context.channels, expected)

    def _open(self, name: str) -> Any:
        try:
            return self._av.open(self._opener())
        except self._av.FFmpegError as error:
            raise _corrupt(name, error) from error

    def _blocks(self) -> Iterator[Audio]:
        with self._open(self.name) as container:
            waiting: list[Audio] = []
            for frame in self._frames(container):
                waiting.append(frame)
                if sum(part.shape[1] for part in waiting) >= BLOCK_SAMPLES:
                    yield np.concatenate(waiting, axis=1)
                    waiting.clear()
            if waiting:
                yield np.concatenate(waiting, axis=1)

    def _frames(self, container: Any) -> Iterator[Audio]:
        planar = self._av.AudioResampler(format="fltp", rate=self.sample_rate)
        try:
            for frame in container.decode(audio=self._stream):
                for part in planar.resample(frame):
                    yield np.asarray(part.to_ndarray(), np.float32)
            for part in planar.resample(None):
                yield np.asarray(part.to_ndarray(), np.float32)
        except self._av.FFmpegError as error:
            raise _corrupt(self.name, error) from error


def open_source(source: SourceLike, *, stream: int = 0) -> AudioSource:
    """Open anything that can be read as audio.

    Parameters
    ----------
    source : path, bytes, binary file object, fsspec URL or (array, sample_rate)
        The recording. A file object is read from where it stands to its end.
    stream : int
        Which audio stream of a container that has several (``.stem.mp4``: 0 is the mixture).

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
        return ArraySource(*source)
    resources = ExitStack()
    with resources:
        name, opener = _opener(source, resources)
        opened = _decoder(name, opener, stream)
        opened._resources = resources.pop_all()
    return opened


def _decoder(name: str, opener: Opener, stream: int) -> AudioSource:
    kind = find_kind(_head(opener))
    if kind is None:
        raise UnsupportedFormat(
            f"{name} is not audio of a known kind, by its content",
            hint="WAV, FLAC, MP3, Ogg, AIFF, CAF, AAC, MP4/M4A and WebM can be read",
            name=name,
        )
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
            f"{type(source).__name__} cannot be read as a recording", option="source", value=type(source).__name__
        )
    if isinstance(source, io.TextIOBase):
        raise InvalidOptions('a recording is bytes, not text: open it with "rb"', option="source", value="text")
    name = str(getattr(source, "name", None) or "the file object")
    path = _copy(name, source, resources)
    return name, lambda: path


def _path_opener(path: str, resources: ExitStack) -> tuple[str, Opener]:
    if "://" in path:
        try:
            with fsspec.open(path, "rb") as file:
                local = _copy(path, file, resources)
        except FileNotFoundError as error:
            raise ObjectNotFound(f"there is nothing at {path}", path=path) from error
        except (OSError, ImportError, ValueError) as error:
            raise StorageError(f"{path} cannot be read: {error}", path=path) from error
        return path, lambda: local
    try:
        is_file, what = Path(path).is_file(), "is not a file" if Path(path).exists() else "does not exist"
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error}", path=path) from error
    if not is_file:
        raise ObjectNotFound(f"{path} {what}", hint="name an audio file", path=path)
    return path, lambda: path


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


def _corrupt(name: str, error: Exception) -> CorruptAudio:
    reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else error
    return CorruptAudio(f"{name} cannot be decoded: {reason}", hint="the file is damaged or cut short", name=name)


def _checked_rate(sample_rate: int) -> int:
    is_number = isinstance(sample_rate, Real) and not isinstance(sample_rate, bool)
    if not (is_number and float(sample_rate).is_integer() and sample_rate >= 1):
        raise InvalidOptions(
            f"sample_rate must be a positive integer in Hz, not {sample_rate!r}",
            option="sample_rate",
            value=sample_rate,
        )
    return int(sample_rate)


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
