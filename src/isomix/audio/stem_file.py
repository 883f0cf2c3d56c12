"""One stem on its way into a file: encoded by a thread of its own, and read back before it counts as written."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile

from isomix.audio.blocks import Audio
from isomix.audio.decoders import BLOCK_SAMPLES, encode_path
from isomix.audio.formats import FileFormat, Stored
from isomix.audio.one_thread import OneThread
from isomix.errors import IntegrityError

WAITING_BLOCKS = 2
"""Blocks that may wait for the encoder: enough that the network never waits for it, little memory."""

FLUSHED_BYTES = 1 << 24
"""Bytes of samples after which the disk is waited for: closing a file waits for what is left, and its caller too."""


class StemFile:
    """Encodes one stem while the separation runs.

    Where the format clips, the samples are also kept as raw float32 beside the file, so that the shared gain, which
    is known at the end, can still be applied to what was never rounded.

    Parameters
    ----------
    path : Path
        Temporary name of the file.
    file_format : FileFormat
        How.
    sample_rate, channels : int
        Of the stem; the sample rate in Hz.
    expected_samples : int or None
        Length by the header, to choose the container.
    """

    def __init__(
        self, path: Path, file_format: FileFormat, *, sample_rate: int, channels: int, expected_samples: int | None
    ) -> None:
        self.samples = 0
        self._peak = 0.0
        self._path, self._format, self._channels = path, file_format, channels
        self._create: Callable[[], soundfile.SoundFile] = lambda: soundfile.SoundFile(
            encode_path(path),
            "w",
            sample_rate,
            channels,
            format=file_format.container(expected_samples, channels),
            subtype=file_format.subtype,
            **file_format.quality,
        )
        self._checksum = self._unflushed_bytes = 0
        self._waiting: deque[Future[None]] = deque()
        self._file = self._create()
        self._spooled_samples: list[int] = []
        self._spool = path.with_suffix(".spool").open("wb+") if file_format.can_clip else None
        self._encoder = OneThread("isomix-encoder")

    @property
    def peak(self) -> float:
        """Largest magnitude of everything that was taken; waits until it is encoded."""
        self._wait_for(0)
        return self._peak

    def write(self, block: Audio) -> None:
        """Take the next ``(channels, samples)`` block; the caller must not change it afterwards."""
        self._wait_for(WAITING_BLOCKS)
        self._waiting.append(self._encoder.submit(self._encode, block))

    def end(self) -> None:
        """Close the file behind what was taken; in the background."""
        self._waiting.append(self._encoder.submit(self._file.close))

    def seal(self, gain: float) -> Future[None]:
        """Encode again with a gain if it is not 1, and read the file back; in the background. The file has ended."""
        self._wait_for(0)
        return self._encoder.submit(self._seal, gain)

    def discard(self) -> None:
        """Stop and let go of the files, whose deletion is the caller's."""
        self._encoder.shutdown(cancel_futures=True)
        # Whatever closing says, the file is thrown away; the error that brought us here is the one to tell.
        with suppress(soundfile.SoundFileError, OSError):
            self._file.close()
        if self._spool is not None:
            with suppress(OSError):
                self._spool.close()

    def _wait_for(self, at_most: int) -> None:
        while len(self._waiting) > at_most:
            self._waiting.popleft().result()

    def _encode(self, block: Audio) -> None:
        self._peak = max(self._peak, float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
        self.samples += block.shape[1]
        self._store(block)
        if self._spool is not None:
            self._spooled_samples.append(block.shape[1])
            for row in block:
                self._spool.write(np.ascontiguousarray(row).data)

    def _store(self, block: Audio) -> None:
        stored = self._format.pack(block)
        self._checksum = zlib.crc32(stored.data, self._checksum)
        self._file.write(stored)
        self._unflushed_bytes += stored.nbytes
        if self._unflushed_bytes >= FLUSHED_BYTES:
            self._file.flush()
            self._unflushed_bytes = 0

    def _seal(self, gain: float) -> None:
        if gain != 1.0:
            self._checksum, self._file = 0, self._create()
            for block in self._read_spool():
                self._store(block * np.float32(gain))
            self._file.close()
        if self._format.encoding == "float32":
            _forget_time(self._path)
        self._verify()

    def _read_spool(self) -> Iterator[Audio]:
        if self._spool is None:
            raise IntegrityError(f"{self._path.name} kept no samples to encode again", path=str(self._path))
        self._spool.seek(0)
        for samples in self._spooled_samples:
            values = np.fromfile(self._spool, np.float32, self._channels * samples)
            if len(values) < self._channels * samples:
                raise IntegrityError(f"the spool of {self._path.name} was cut short", path=str(self._path))
            yield values.reshape(self._channels, samples)

    def _verify(self) -> None:
        """Decode what was written to its end: its length must be right, and without loss every value."""
        samples, checksum = 0, 0
        with soundfile.SoundFile(encode_path(self._path)) as file:
            for stored in self._read_back(file):
                samples += len(stored)
                checksum = zlib.crc32(stored.data, checksum)
        if samples != self.samples or (self._format.is_lossless and checksum != self._checksum):
            raise IntegrityError(
                f"{self._path.name} does not read back as it was written ({samples} samples of {self.samples})",
                path=str(self._path),
                samples=samples,
            )

    def _read_back(self, file: soundfile.SoundFile) -> Iterator[Stored]:
        while len(stored := file.read(BLOCK_SAMPLES, dtype=self._format.stored_dtype, always_2d=True)):
            yield stored


def _forget_time(path: Path) -> None:
    """Zero the time of writing that libsndfile leaves in a WAV's PEAK chunk: two runs then give the same bytes."""
    with path.open("r+b") as file:
        chunk = file.read(256).find(b"PEAK")
        if chunk >= 0:
            file.seek(chunk + 12)  # past the chunk's name, size and version
            file.write(bytes(4))
