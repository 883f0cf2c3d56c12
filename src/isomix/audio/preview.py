"""Stems cut into preview segments while the separation runs: FLAC files that can be played one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from isomix.audio.blocks import Audio, SampleBuffer
from isomix.audio.formats import FileFormat
from isomix.audio.place import as_storage_error
from isomix.domain.preview import HEADROOM_DB, PreviewSegment, segment_start

FORMAT = FileFormat.of("flac", "int16")
_GAIN = np.float32(10.0 ** (-HEADROOM_DB / 20))


class PreviewSink:
    """Writes every segment of all stems as soon as its last sample is there.

    The bounds are those of `isomix.domain.preview.segment_start`. Samples are stored lower by ``HEADROOM_DB``; what is
    louder than that clips, in the preview alone. Memory is bounded by one segment.

    Parameters
    ----------
    names : sequence of str
        The stems.
    sample_rate, channels : int
        Of the stems; the sample rate in Hz.
    folder : Path
        Where the files are made; it is there.
    on_segment : callable
        Called with each segment and the file of each stem, which are given away.

    Raises
    ------
    InvalidOptions
        If FLAC cannot hold the sample rate.
    StorageError
        From any method, if bytes cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sink = PreviewSink(
    ...         ["drums"],
    ...         sample_rate=8000,
    ...         channels=2,
    ...         folder=Path(folder),
    ...         on_segment=lambda segment, files: print(segment.start, segment.samples, files["drums"].name),
    ...     )
    ...     sink.write({"drums": np.zeros((2, 20000), np.float32)})
    ...     sink.finish()
    0 8000 drums-0.flac
    8000 12000 drums-1.flac
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        sample_rate: int,
        channels: int,
        folder: Path,
        on_segment: Callable[[PreviewSegment, Mapping[str, Path]], None],
    ) -> None:
        FORMAT.check(sample_rate)
        self._sample_rate, self._folder, self._on_segment = sample_rate, folder, on_segment
        self._buffers = {name: SampleBuffer((channels,)) for name in names}
        self._index = self._end = 0

    def write(self, stems: Mapping[str, Audio]) -> None:
        """Take the next ``(channels, samples)`` block of every stem; the caller must not change it afterwards."""
        for name, buffer in self._buffers.items():
            buffer.append(stems[name])
            self._end = buffer.end
        while (stop := segment_start(self._index + 1, self._sample_rate)) <= self._end:
            self._emit(stop)

    def finish(self) -> None:
        """Write what is left as a last, shorter segment; the stems have ended."""
        if segment_start(self._index, self._sample_rate) < self._end:
            self._emit(self._end)

    def _emit(self, stop: int) -> None:
        start = segment_start(self._index, self._sample_rate)
        segment = PreviewSegment(self._index, start, stop - start)
        files = {name: self._encode(name, buffer.take(segment.samples)) for name, buffer in self._buffers.items()}
        self._index += 1
        self._on_segment(segment, files)

    def _encode(self, name: str, audio: Audio) -> Path:
        path = self._folder / f"{name}-{self._index}.{FORMAT.format}"
        with as_storage_error(str(self._folder)):
            soundfile.write(path, FORMAT.pack(audio * _GAIN), self._sample_rate, format="FLAC", subtype=FORMAT.subtype)
        return path
