"""Recordings as blocks of float32: arrays, what libsndfile decodes, what PyAV decodes."""

from __future__ import annotations

import io
import os
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from fractions import Fraction
from numbers import Real
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeAlias

import numpy as np
import soundfile
from numpy.typing import ArrayLike

from isomix.audio.blocks import Audio
from isomix.domain.limits import Limits
from isomix.errors import CorruptAudio, InvalidOptions, UnsupportedFormat

BLOCK_SAMPLES = 1 << 16
"""Samples per block, about 1.5 s at 44.1 kHz: small against a segment, large against the cost of a call."""

HEADER_BYTES = 1 << 16
"""More than this is no header, cover picture apart."""

_UNKNOWN_BYTES = 0x7FFFF000
"""Sizes from here on, in a header of 32 bits, are promised by programs that do not know."""

Opener: TypeAlias = Callable[[], "str | IO[bytes]"]
"""Gives the path of a file, or a new file object at its start."""


def encode_path(path: str | Path) -> str | bytes:
    """Return a path as libsndfile's binding takes it, also where its name is no text in the system's encoding."""
    return str(path) if sys.platform == "win32" else os.fsencode(path)


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

    Attributes
    ----------
    limits : Limits
        What `blocks` may give at most; nothing is limited until somebody says so.
    """

    def __init__(self, name: str, sample_rate: int, channels: int, expected_samples: int | None) -> None:
        self.name = name
        self.sample_rate = sample_rate
        self.channels = channels
        self.expected_samples = expected_samples
        self.limits = Limits()
        self._resources = ExitStack()

    def blocks(self) -> Generator[Audio, None, None]:
        """Yield the recording from its start as ``(channels, samples)`` float32 blocks.

        Raises
        ------
        CorruptAudio
            If it cannot be decoded to its end, or holds a value that is not finite.
        TooLong
            If more of it has been decoded than `limits` let pass, whatever its header says.
        """
        position = 0
        for block in self._blocks():
            self.limits.check_duration((position + block.shape[-1]) / self.sample_rate)
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
            promised = _count_promised_samples(opener) if file.format in ("WAV", "WAVEX") else 0
            super().__init__(name, file.samplerate, file.channels, max(file.frames, promised))
            # libsndfile leaves Vorbis' own channel order (left, centre, right, ...); FFmpeg brings it to that of WAV.
            is_vorbis_surround = file.format == "OGG" and file.channels > 2
            # A FLAC that was streamed when it was made does not tell its length; libsndfile cannot read its end.
            is_endless = file.frames == np.iinfo(np.int64).max
            # A recorder that crashed leaves a WAV whose header says that there is nothing.
            is_unfinished = file.format == "WAV" and file.frames == 0 and _size_bytes(opener) > HEADER_BYTES
            self.needs_pyav = is_vorbis_surround or is_endless or is_unfinished

    def _open(self, name: str) -> soundfile.SoundFile:
        try:
            opened = self._opener()
            return soundfile.SoundFile(encode_path(opened) if isinstance(opened, str) else opened)
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
            if not (chosen.rate and chosen.codec_context.channels):
                raise _corrupt(name, "its header tells no sample rate or no channels")
            # WebM tells the duration of the whole file alone, in microseconds.
            length, base = container.duration, Fraction(1, self._av.time_base)
            if chosen.duration is not None and chosen.time_base is not None:
                length, base = chosen.duration, chosen.time_base
            expected = None if length is None else round(length * base * chosen.rate)
            super().__init__(name, chosen.rate, chosen.codec_context.channels, expected)

    def _open(self, name: str) -> Any:
        try:
            # Titles in an old encoding are not worth refusing a recording for.
            return self._av.open(self._opener(), metadata_errors="replace")
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


def _size_bytes(opener: Opener) -> int:
    opened = opener()
    if isinstance(opened, str):
        return Path(opened).stat().st_size
    with opened as file:
        return file.seek(0, io.SEEK_END)


def _count_promised_samples(opener: Opener) -> int:
    """Return the samples that a WAV's header promises, which libsndfile cuts to those that are there; 0 if unknown.

    (RIFF: Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft 1991.)
    """
    opened = opener()
    with Path(opened).open("rb") if isinstance(opened, str) else opened as file:
        file.seek(12)
        frame_bytes = 0
        while len(head := file.read(8)) == 8:
            kind, size = struct.unpack("<4sI", head)
            if kind == b"data":
                # Who writes to a pipe cannot know, and promises as much as the field or a signed one holds.
                return size // frame_bytes if frame_bytes and size < _UNKNOWN_BYTES else 0
            if kind == b"fmt ":
                frame_bytes = struct.unpack_from("<H", file.read(16), 12)[0]
                size -= 16
            file.seek(size + size % 2, io.SEEK_CUR)
    return 0


def _corrupt(name: str, error: Exception | str) -> CorruptAudio:
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
