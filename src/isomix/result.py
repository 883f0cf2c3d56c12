"""What a separation returns: stems by name, and everything that was decided and measured on the way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import attrs
import numpy as np

from isomix.audio.blocks import Audio
from isomix.audio.decoders import AudioSource
from isomix.audio.formats import FileFormat
from isomix.audio.mixing import linear_gains
from isomix.audio.sink import FileSink
from isomix.audio.source import open_source, read
from isomix.domain.options import EngineOptions
from isomix.domain.stems import RESIDUAL
from isomix.errors import UnknownStem
from isomix.notebook import render_html


@attrs.frozen(eq=False)
class StemAudio:
    """One stem, or a mix of stems: in memory, or in a file that is read when it is needed.

    Parameters
    ----------
    name : str
        The stem.
    sample_rate : int
        In Hz: the recording's own.
    duration : float
        In seconds.
    path : str or None
        File or URL that holds it; None if it is in memory.
    """

    name: str
    sample_rate: int
    duration: float
    path: str | None = None
    _array: Audio | None = attrs.field(default=None, repr=False)

    @property
    def array(self) -> Audio:
        """The samples, ``(channels, samples)`` float32; read from the file at each use if there is one."""
        if self._array is not None:
            return self._array
        return read(self.path or "")[0]

    def blocks(self) -> Iterator[Audio]:
        """Yield the samples in ``(channels, samples)`` blocks, never the whole."""
        with self._open() as source:
            yield from source.blocks()

    def _open(self) -> AudioSource:
        return open_source(self.path or (self.array, self.sample_rate))

    def save(self, path: str | Path, *, encoding: str | None = None) -> float:
        """Write the stem to one file, in the format that the name's ending tells.

        Parameters
        ----------
        path : path or fsspec URL
            Ends in ``.wav``, ``.flac``, ``.mp3`` or ``.ogg``.
        encoding : {"int16", "int24", "float32"}, optional
            How samples are stored; int16 for wav and flac if not given.

        Returns
        -------
        float
            Gain in dB that was applied so that nothing clips; 0 for none.

        Raises
        ------
        InvalidOptions
            If the ending is not a format.
        StorageError
            If it cannot be written; no half file is left.
        """
        target = PurePath(path)
        folder = str(path)[: -len(target.name)] or "."
        file_format = FileFormat.of(target.suffix.removeprefix("."), encoding)
        with self._open() as source:
            sink = FileSink(
                folder,
                [target.stem],
                file_format,
                sample_rate=self.sample_rate,
                channels=source.channels,
                expected_samples=source.expected_samples,
            )
            with sink:
                for block in source.blocks():
                    sink.write({target.stem: block})
                return sink.commit()

    def _repr_html_(self) -> str:
        return render_html(f"{self.duration:.1f} s", {self.name: (self.sample_rate, self.blocks())})


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Separation(Mapping[str, StemAudio]):
    """The stems of one recording, by name, and how they came about.

    Parameters
    ----------
    model : str
        Model that separated it.
    options : EngineOptions
        As they were asked for.
    device, precision, runtime : str
        As they were chosen.
    sample_rate : int
        Of every stem, in Hz: the recording's own.
    channels, samples : int
        Of every stem.
    null_error_db : float or None
        Energy of the mixture minus the sum of the model's stems, in dB against the mixture's: how far the stems are
        from summing to it. None where not all of them were computed.
    gain_db : float
        One gain on all written stems, so that none clips; 0 for none.
    timings : mapping of str to float
        Wall seconds: ``load``, ``separate``, ``write``.
    notes : tuple of str
        What a careful reader should know: a file shorter than its header says, a surround recording mixed down.

    Examples
    --------
    >>> import isomix
    >>> noise = np.random.default_rng(0).standard_normal((2, 44100)).astype(np.float32)
    >>> separation = isomix.separate((noise, 44100), "hpss")
    >>> sorted(separation)
    ['bass', 'drums', 'other']
    >>> separation.mix({"drums": -6}, mute=["bass"]).array.shape
    (2, 44100)
    """

    model: str
    options: EngineOptions
    device: str
    precision: str
    runtime: str
    sample_rate: int
    channels: int
    samples: int
    null_error_db: float | None
    gain_db: float
    timings: Mapping[str, float]
    notes: tuple[str, ...]
    _stems: Mapping[str, StemAudio] = attrs.field(repr=False)
    _residual: StemAudio | None = attrs.field(repr=False, default=None)

    def __getitem__(self, name: str) -> StemAudio:
        try:
            return self._stems[name]
        except KeyError:
            known = tuple(self._stems)
            raise UnknownStem(
                f"there is no stem {name!r}; there are " + ", ".join(known), stem=name, known=known
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._stems

    def get(self, name: str, default: Any = None) -> Any:
        """Return a stem, or something else if there is none of that name."""
        return self._stems.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stems)

    def __len__(self) -> int:
        return len(self._stems)

    def __repr__(self) -> str:
        return f"<Separation of {self.duration:.1f} s by {self.model}: {', '.join(self)}>"

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / self.sample_rate

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio per second of separating and writing."""
        return self.duration / max(self.timings["separate"] + self.timings["write"], 1e-9)

    @property
    def residual(self) -> StemAudio:
        """The mixture minus the sum of the model's stems.

        Raises
        ------
        UnknownStem
            If it was not kept: only some stems were computed, or they went to files and it was not asked for.
        """
        if self._residual is None:
            raise UnknownStem(
                "the residual was not kept", hint=f'ask for it: stems=[..., "{RESIDUAL}"]', stem=RESIDUAL, known=()
            )
        return self._residual

    def mix(
        self,
        gains_db: Mapping[str, float] | None = None,
        *,
        mute: Collection[str] = (),
        solo: Collection[str] = (),
    ) -> StemAudio:
        """Sum the stems with gains.

        Parameters
        ----------
        gains_db : mapping of str to float, optional
            Gain of a stem in dB; 0 for stems that are not named.
        mute, solo : collection of str
            Stems to leave out; stems to hear alone.

        Returns
        -------
        StemAudio
            In memory, float: nothing clips until it is written, and then one gain prevents it.

        Raises
        ------
        UnknownStem
            If a name is not one of the stems.
        InvalidOptions
            If a gain is not a number from -120 to 60.
        """
        mixed: Audio = np.zeros((self.channels, self.samples), np.float32)
        for name, gain in linear_gains(self._stems, gains_db, mute=mute, solo=solo).items():
            position = 0
            for block in self._stems[name].blocks():
                mixed[:, position : position + block.shape[1]] += np.float32(gain) * block
                position += block.shape[1]
        return StemAudio("mix", self.sample_rate, self.duration, None, mixed)

    def save(self, folder: str | Path, *, format: str = "wav", encoding: str | None = None) -> Separation:  # noqa: A002
        """Write every stem to ``folder/<stem>.<format>``, with one shared gain if any would clip.

        Parameters
        ----------
        folder : path or fsspec URL
            Made if it is missing.
        format : {"wav", "flac", "mp3", "ogg"}
            File format.
        encoding : {"int16", "int24", "float32"}, optional
            How samples are stored.

        Returns
        -------
        Separation
            The same, with its stems in the files, and the gain that was applied in ``gain_db``.

        Raises
        ------
        StorageError
            If something cannot be written; then nothing is left under a final name.
        """
        sink = FileSink(
            folder,
            tuple(self),
            FileFormat.of(format, encoding),
            sample_rate=self.sample_rate,
            channels=self.channels,
            expected_samples=self.samples,
        )
        with sink:
            for blocks in zip(*(stem.blocks() for stem in self.values()), strict=True):
                sink.write(dict(zip(self, blocks, strict=True)))
            gain_db = sink.commit()
        stems = {name: attrs.evolve(self[name], path=path, array=None) for name, path in sink.paths.items()}
        return attrs.evolve(self, stems=stems, gain_db=self.gain_db + gain_db)

    def to_dict(self) -> dict[str, Any]:
        """Return every fact but the samples, in values that JSON can hold."""
        null_error_db = self.null_error_db
        return {
            "model": self.model,
            "options": _plain(self.options),
            "stems": {name: stem.path for name, stem in self.items()},
            "sample_rate": self.sample_rate,
            "channels": self.channels,
            "samples": self.samples,
            "duration_seconds": self.duration,
            "null_error_db": null_error_db if null_error_db is None or np.isfinite(null_error_db) else None,
            "gain_db": self.gain_db,
            "device": self.device,
            "precision": self.precision,
            "runtime": self.runtime,
            "timings_seconds": dict(self.timings),
            "real_time_factor": self.real_time_factor,
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """Return a few lines for people: where the stems are, how long it took, what to know."""
        lines = [f"{name:<14} {stem.path or 'in memory'}" for name, stem in self.items()]
        lines.append(
            f"{self.duration:.1f} s of audio in {self.timings['separate'] + self.timings['write']:.1f} s "
            f"({self.real_time_factor:.1f} x real time) by {self.model} on {self.device}"
        )
        if self.null_error_db is not None and np.isfinite(self.null_error_db):
            lines.append(f"the stems sum to the mixture but for {self.null_error_db:.0f} dB")
        if self.gain_db:
            lines.append(f"all stems were lowered by {-self.gain_db:.2f} dB, so that none clips")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return render_html(self.model, {name: (stem.sample_rate, stem.blocks()) for name, stem in self.items()})


def _plain(options: EngineOptions) -> dict[str, Any]:
    fields = attrs.asdict(options, filter=lambda field, _: field.name != "on_progress")
    return {name: str(value) if isinstance(value, Path) else value for name, value in fields.items()}
