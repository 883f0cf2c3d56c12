"""A mix document becomes a recording: streamed, sample-aligned, never clipped in silence."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from isomix.audio.formats import FileFormat
from isomix.audio.mixing import count_channels, find_span, render_mix
from isomix.audio.sink import FileSink
from isomix.audio.source import open_source
from isomix.domain.mix import Mix
from isomix.domain.status import Status
from isomix.domain.stem import Stem
from isomix.ports import ObjectStore, Ports
from isomix.services.reading import check_ready

MEDIA_TYPES = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "ogg": "audio/ogg"}


class Export(io.BufferedReader):
    """A rendered mix: a binary file that is gone when it is closed.

    Parameters
    ----------
    path : Path
        Where it lies.
    resources : ExitStack
        What ends with it.
    filename : str
        What a person may call it.
    duration : float
        Seconds.
    peak : float
        Largest magnitude of the mix before any gain, full scale is 1.
    gain_db : float
        Gain that was applied so that nothing clips, in dB; 0 for none.
    """

    def __init__(
        self, path: Path, resources: ExitStack, *, filename: str, duration: float, peak: float, gain_db: float
    ) -> None:
        self._resources = resources
        super().__init__(path.open("rb", buffering=0))
        self.filename, self.duration, self.peak, self.gain_db = filename, duration, peak, gain_db
        self.size_bytes = path.stat().st_size
        self.media_type = MEDIA_TYPES[path.suffix.removeprefix(".")]

    @property
    def headroom_db(self) -> float:
        """How far the mix was from full scale before any gain, in dB; negative if it would have clipped."""
        return -20 * float(np.log10(self.peak)) if self.peak else float("inf")

    def save(self, path: str | Path) -> None:
        """Copy it to a file.

        Parameters
        ----------
        path : path
            Written over.
        """
        self.seek(0)
        with Path(path).open("wb") as target:
            while part := self.read(1 << 20):
                target.write(part)

    def close(self) -> None:
        """Close and remove it; closing twice is harmless."""
        super().close()
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def render_export(ports: Ports, status: Status, mix: Mix, file_format: FileFormat) -> Export:
    """Render a mix of a project's stems.

    Parameters
    ----------
    ports : Ports
        The store.
    status : Status
        Of the project.
    mix : Mix
        What to render.
    file_format : FileFormat
        How to write it.

    Returns
    -------
    Export
        Close it, or use it in a ``with`` statement.

    Raises
    ------
    StemNotReady
        If the project has no stems.
    UnknownStem, InvalidOptions
        If the mix names a stem that is not there, or starts after the end.
    StorageError
        If stems cannot be read.
    """
    check_ready(status)
    stems = {stem.name: stem for stem in status.stems}
    first = status.stems[0]
    start, stop = find_span(mix, sample_rate=first.sample_rate, samples=first.samples)
    channels = count_channels(mix, list(stems), first.channels)
    resources = ExitStack()
    with resources:
        folder = resources.enter_context(ports.store.make_staging())
        sink = FileSink(
            folder,
            ["mix"],
            file_format,
            sample_rate=first.sample_rate,
            channels=channels,
            expected_samples=stop - start,
        )
        with sink:
            _render(ports.store, mix, stems, sink)
            gain_db = sink.commit()
        return Export(
            Path(sink.paths["mix"]),
            resources.pop_all(),
            filename=f"{status.project.title} (mix).{file_format.format}",
            duration=(stop - start) / first.sample_rate,
            peak=sink.peaks["mix"],
            gain_db=gain_db,
        )


def _render(store: ObjectStore, mix: Mix, stems: dict[str, Stem], sink: FileSink) -> None:
    first = next(iter(stems.values()))
    with ExitStack() as opened:
        heard = {}
        for name in mix.heard(list(stems)):
            path = opened.enter_context(store.local_file(stems[name].key, stems[name].sha256))
            heard[name] = opened.enter_context(open_source(path, name=name)).blocks()
        blocks = render_mix(
            mix,
            heard,
            sample_rate=first.sample_rate,
            channels=first.channels,
            samples=first.samples,
            base_gains_db={name: stems[name].gain_db for name in heard},
        )
        for block in blocks:
            sink.write({"mix": block})
