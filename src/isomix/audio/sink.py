"""Where stems go: arrays in memory, or files that appear whole or not at all.

Files are encoded under a temporary name while the separation runs, read back, and moved to their names together. If a
stem went beyond full scale in a format that clips, all stems are encoded again with one shared gain, so that they still
sum to the (scaled) mixture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from isomix.audio.blocks import Audio
from isomix.audio.formats import FileFormat
from isomix.audio.place import as_storage_error, open_place
from isomix.audio.stem_file import StemFile
from isomix.errors import InvalidOptions

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
        self._names, self._format = names, file_format
        self._open_file = partial(
            StemFile,
            file_format=file_format,
            sample_rate=sample_rate,
            channels=channels,
            expected_samples=expected_samples,
        )
        self._files: dict[str, StemFile] = {}

    @property
    def paths(self) -> dict[str, str]:
        """Final path or URL of each stem."""
        return {name: self._place.address(self._file_name(name)) for name in self._names}

    @property
    def peaks(self) -> dict[str, float]:
        """Largest magnitude of each stem so far, before the shared gain; full scale is 1."""
        with as_storage_error(self._place.name):
            return {name: file.peak for name, file in self._files.items()}

    def check_spares(self, source: object) -> None:
        """Refuse to write a stem over the recording that it is made of.

        Raises
        ------
        InvalidOptions
            If one of the files would be that.
        """
        if not isinstance(source, str | Path):
            return
        for path in self.paths.values():
            is_same = path == str(source)
            if "://" not in path and Path(path).exists() and Path(source).exists():
                is_same = Path(path).samefile(source)
            if is_same:
                raise InvalidOptions(
                    f"{path} is the recording itself", hint="choose another folder", option="output", value=path
                )

    def __enter__(self) -> Self:
        self._work = self._place.begin()
        try:
            with as_storage_error(self._place.name):
                for name in self._names:
                    self._files[name] = self._open_file(self._work / self._file_name(name))
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, stems: Mapping[str, Audio]) -> None:
        """Take the next block of every stem."""
        with as_storage_error(self._place.name):
            for name, block in stems.items():
                self._files[name].write(block)

    def commit(self) -> float:
        """Verify every file, move all to their names and return the shared gain in dB."""
        with as_storage_error(self._place.name):
            for file in self._files.values():
                file.end()
            peak = max(self.peaks.values())  # which waits until everything is encoded
            self._check_not_empty()
            gain = 1.0 / peak if self._format.can_clip and peak > 1.0 else 1.0
            for sealing in [file.seal(gain) for file in self._files.values()]:
                sealing.result()
            self._place.publish(self._work, [self._file_name(name) for name in self._names])
        return 20 * float(np.log10(gain))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _discard(self) -> None:
        for file in self._files.values():
            file.discard()
        self._place.clean(self._work)

    def _file_name(self, stem: str) -> str:
        return f"{stem}.{self._format.format}"

    def _check_not_empty(self) -> None:
        if self._format.format != "wav" and not any(file.samples for file in self._files.values()):
            raise InvalidOptions(
                f"{self._format.format} cannot hold a recording without samples",
                hint='use format="wav"',
                option="format",
                value=self._format.format,
            )
