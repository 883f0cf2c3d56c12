"""What becomes of the stems of one attempt: files, previews, peaks; stored under the attempt's own prefix."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from isomix.audio.formats import FileFormat
from isomix.audio.peaks import PeakMeter
from isomix.audio.preview import PreviewSink
from isomix.audio.sink import FileSink
from isomix.domain.job import Job
from isomix.domain.keys import attempt_prefix, make_id, peaks_key, stem_key
from isomix.domain.preview import PreviewSegment
from isomix.domain.stem import Stem
from isomix.pipe import Pipe, StemBlock
from isomix.ports import ObjectStore
from isomix.settings import StudioSettings


@attrs.frozen(kw_only=True)
class MadeStem:
    """A finished stem on the local disk.

    Parameters
    ----------
    name : str
        Of the stem.
    path : Path
        Its file.
    format : str
        Of the file.
    sample_rate, channels, samples : int
        Of the audio; the sample rate in Hz.
    peak : float
        Largest magnitude in the file.
    peaks : bytes
        Waveform peaks, serialised.
    """

    name: str
    path: Path
    format: str
    sample_rate: int
    channels: int
    samples: int
    peak: float
    peaks: bytes


@attrs.frozen
class MadeStems:
    """All stems of an attempt, and the gain that they share.

    Parameters
    ----------
    stems : tuple of MadeStem
        In order.
    gain_db : float
        Applied to every file, so that none clips; 0 for none.
    """

    stems: tuple[MadeStem, ...]
    gain_db: float


class StudioSink:
    """Takes the blocks of the pipe and makes of them files, preview segments and waveform peaks at once.

    Parameters
    ----------
    folder : Path
        Where files are made.
    names : sequence of str
        The stems.
    pipe : Pipe
        Where the blocks come from.
    settings : StudioSettings
        Format of the files.
    publish : callable
        Given each preview segment and its files as soon as it is complete.
    """

    def __init__(
        self,
        folder: Path,
        names: tuple[str, ...],
        pipe: Pipe,
        settings: StudioSettings,
        publish: Callable[[PreviewSegment, Mapping[str, Path]], None],
    ) -> None:
        self._names, self._pipe = names, pipe
        self._format = FileFormat.of(settings.stem_format, settings.stem_encoding)
        rate, channels = pipe.source.sample_rate, pipe.channels
        self._files = FileSink(
            folder / "stems",
            names,
            self._format,
            sample_rate=rate,
            channels=channels,
            expected_samples=pipe.source.expected_samples,
        )
        self._preview = PreviewSink(names, sample_rate=rate, channels=channels, folder=folder, on_segment=publish)
        self._waveforms = {name: PeakMeter(rate) for name in names}

    def __enter__(self) -> Self:
        self._files.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)

    def write(self, block: StemBlock) -> None:
        """Take the next block."""
        self._files.write(block.stems)
        self._preview.write(block.stems)
        for name, audio in block.stems.items():
            self._waveforms[name].add(audio)

    def commit(self) -> MadeStems:
        """Finish everything; the files are on the local disk, verified."""
        self._preview.finish()
        gain_db = self._files.commit()
        return MadeStems(tuple(self._describe(name, gain_db) for name in self._names), gain_db)

    def _describe(self, name: str, gain_db: float) -> MadeStem:
        return MadeStem(
            name=name,
            path=Path(self._files.paths[name]),
            format=self._format.format,
            sample_rate=self._pipe.source.sample_rate,
            channels=self._pipe.channels,
            samples=self._pipe.position,
            peak=self._files.peaks[name] * 10 ** (gain_db / 20),
            peaks=self._waveforms[name].to_json(gain_db),
        )


def store_stems(store: ObjectStore, job: Job, made: MadeStems) -> list[Stem]:
    """Store the stems of an attempt and return what is to be remembered of them.

    Raises
    ------
    StorageError
        If the store refuses.
    """
    prefix = attempt_prefix(job.project_id, job.attempt)
    return [_store_stem(store, job, prefix, position, stem, made.gain_db) for position, stem in enumerate(made.stems)]


def _store_stem(store: ObjectStore, job: Job, prefix: str, position: int, made: MadeStem, gain_db: float) -> Stem:
    stem = Stem(
        id=make_id(),
        project_id=job.project_id,
        job_id=job.id,
        position=position,
        name=made.name,
        key=stem_key(prefix, position, made.format),
        peaks_key=peaks_key(prefix, position),
        format=made.format,
        size_bytes=made.path.stat().st_size,
        sha256=_digest(made.path),
        sample_rate=made.sample_rate,
        channels=made.channels,
        samples=made.samples,
        peak=made.peak,
        gain_db=gain_db,
    )
    store.put_file(stem.key, made.path)
    store.put_bytes(stem.peaks_key, made.peaks)
    return stem


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
