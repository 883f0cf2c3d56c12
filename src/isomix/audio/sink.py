"""Where stems go: arrays in memory, or files that appear whole or not at all.

Files are encoded under a temporary name while the separation runs, read back, and moved to their names together. A
format that would clip is also kept as float32 on disk until the end: if any stem went beyond full scale, all stems
are written again with one shared gain, so that they still sum to the (scaled) mixture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import soundfile

from isomix.audio.blocks import Audio
from isomix.audio.formats import FileFormat
from isomix.audio.place import as_storage_error, open_place
from isomix.audio.source import BLOCK_SAMPLES
from isomix.errors import IntegrityError, InvalidOptions

_TRUSTED_SAMPLES = 1 << 27
"""What a header may ask for in advance: 50 minutes at 44.1 kHz. One that lies could ask for all memory there is."""


class StemSink(Protocol):
    """Takes stem blocks in order; whole at the end or nothing at all.

    Leaving the ``with`` statement without `commit` discards everything.
    """

    def write(self, stems: Mapping[str, Audio]) -> None:
        """Take the next ``(channels, samples)`` block of every stem."""

    def commit(self) -> float:
        """Make everything visible; return the shared gain in dB."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Discard what was not committed."""


class ArraySink:
    """Collects stems in memory.

    Parameters
    ----------
    names : sequence of str
        The stems.
    channels : int
        Count.
    expected_samples : int or None
        Length, where it is known: the arrays are then made once.
    """

    def __init__(self, names: Sequence[str], channels: int, expected_samples: int | None) -> None:
        shape = (channels, min(expected_samples or 0, _TRUSTED_SAMPLES))
        self._arrays: dict[str, Audio] = {name: np.empty(shape, np.float32) for name in names}
        self._samples = 0

    @property
    def arrays(self) -> dict[str, Audio]:
        """The stems, each ``(channels, samples)``."""
        return {name: array[:, : self._samples] for name, array in self._arrays.items()}

    def write(self, stems: Mapping[str, Audio]) -> None:
        """Take the next block of every stem."""
        stop = self._samples
        for name, block in stems.items():
            stop = self._samples + block.shape[1]
            self._make_room(name, stop)
            self._arrays[name][:, self._samples : stop] = block
        self._samples = stop

    def _make_room(self, name: str, samples: int) -> None:
        array = self._arrays[name]
        if array.shape[1] < samples:
            grown = np.empty((array.shape[0], max(samples, 3 * array.shape[1] // 2)), np.float32)
            grown[:, : self._samples] = array[:, : self._samples]
            self._arrays[name] = grown

    def commit(self) -> float:
        """Return the shared gain, which is none: floats do not clip."""
        return 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class FileSink:
    """Writes stems to ``folder/<stem>.<format>``, on disk or at an fsspec URL.

    Parameters
    ----------
    folder : path or fsspec URL
        Made if it is missing.
    names : sequence of str
        The stems.
    file_format : FileFormat
        How.
    sample_rate, channels : int
        Of the stems; the sample rate in Hz.
    expected_samples : int or None
        Length by the header, to choose the container.

    Raises
    ------
    StorageError
        From any method, if bytes cannot be written; nothing is left under a final name.
    """

    def __init__(
        self,
        folder: str | Path,
        names: Sequence[str],
        file_format: FileFormat,
        *,
        sample_rate: int,
        channels: int,
        expected_samples: int | None,
    ) -> None:
        file_format.check(sample_rate)
        self._place = open_place(folder)
        self._names, self._format, self._rate, self._channels = names, file_format, sample_rate, channels
        self._container = file_format.container(expected_samples, channels)
        self._samples, self._peak = 0, 0.0
        self._written: dict[str, soundfile.SoundFile] = {}
        self._spools: dict[str, soundfile.SoundFile] = {}

    @property
    def paths(self) -> dict[str, str]:
        """Final path or URL of each stem."""
        return {name: self._place.address(self._file_name(name)) for name in self._names}

    def __enter__(self) -> Self:
        self._work = self._place.begin()
        try:
            with as_storage_error(self._place.name):
                for name in self._names:
                    self._written[name] = self._create(self._work / self._file_name(name), self._container)
                    if self._format.can_clip:
                        self._spools[name] = self._create(self._work / f"{name}.spool", "RF64", "FLOAT")
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, stems: Mapping[str, Audio]) -> None:
        """Take the next block of every stem."""
        with as_storage_error(self._place.name):
            for name, block in stems.items():
                columns = np.ascontiguousarray(block.T)
                self._peak = max(self._peak, float(np.abs(columns).max(initial=0.0)))
                self._written[name].write(columns)
                if self._spools:
                    self._spools[name].write(columns)
            self._samples += block.shape[1]

    def commit(self) -> float:
        """Verify every file, move all to their names and return the shared gain in dB."""
        gain = 1.0 / self._peak if self._format.can_clip and self._peak > 1.0 else 1.0
        with as_storage_error(self._place.name):
            self._close_files()
            for name in self._names:
                path = self._work / self._file_name(name)
                if gain != 1.0:
                    self._write_again(name, path, gain)
                self._verify(path)
            self._place.publish(self._work, [self._file_name(name) for name in self._names])
        return 20 * float(np.log10(gain))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _discard(self) -> None:
        # Whatever closing says, the files are thrown away; the error that brought us here is the one to tell.
        with suppress(soundfile.SoundFileError, OSError):
            self._close_files()
        self._place.clean(self._work)

    def _file_name(self, stem: str) -> str:
        return f"{stem}.{self._format.format}"

    def _create(self, path: Path, container: str, subtype: str | None = None) -> soundfile.SoundFile:
        quality = {"compression_level": 0.0, "bitrate_mode": "VARIABLE"} if self._format.format == "mp3" else {}
        return soundfile.SoundFile(
            path,
            "w",
            self._rate,
            self._channels,
            subtype=subtype or self._format.subtype,
            format=container,
            **({} if subtype else quality),
        )

    def _close_files(self) -> None:
        for file in (*self._written.values(), *self._spools.values()):
            file.close()

    def _write_again(self, name: str, path: Path, gain: float) -> None:
        with soundfile.SoundFile(self._work / f"{name}.spool") as spool, self._create(path, self._container) as file:
            for block in _blocks(spool):
                file.write(block * np.float32(gain))

    def _verify(self, path: Path) -> None:
        """Decode what was written to its end: only a file that can be read back gets its name."""
        if not self._samples and self._format.format != "wav":
            raise InvalidOptions(
                f"{self._format.format} cannot hold a recording without samples",
                hint='use format="wav"',
                option="format",
                value=self._format.format,
            )
        with soundfile.SoundFile(path) as file:
            samples = sum(len(block) for block in _blocks(file))
        if samples != self._samples:
            raise IntegrityError(
                f"{path.name} reads back {samples} samples of {self._samples}", path=str(path), samples=samples
            )


def _blocks(file: soundfile.SoundFile) -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    while len(block := file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)):
        yield block
