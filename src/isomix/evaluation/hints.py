"""What stems tell of themselves, without references: whether something is plainly wrong, not how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from isomix.audio.blocks import Audio
from isomix.domain.stems import ACCOMPANIMENT, RESIDUAL, VOCALS
from isomix.evaluation.aligned import frame_samples, open_alike, read_aligned
from isomix.evaluation.plotting import draw_bars, open_figure
from isomix.evaluation.ratios import DistortionMeter, ratio_db
from isomix.evaluation.recordings import MIXTURE, Recording, Recordings, list_recordings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SILENCE_DBFS = -60.0
"""A tenth of a second whose RMS is below is silent."""
ALIKE_DB = 20.0
"""A stem that is the mixture, scaled, but for 1% of its energy, is taken for the mixture."""
NULL_ERROR_DB = -20.0
"""Stems that miss more than 1% of the mixture's energy do not sum to it."""
CLIPPED_RUN = 3
"""As many samples at full scale after each other were cut off; one may be a peak that was turned down to fit."""
_FULL_SCALE = 1 - 2**-15
_ALWAYS_SILENT = 1.0


@attrs.frozen(kw_only=True)
class StemHints:
    """What can be said of one stem.

    Parameters
    ----------
    mixture_si_sdr_db : float or None
        SI-SDR of the stem with the mixture as the reference; None if either is silent.
    equals_mixture : bool
        Whether that is 20 dB or more: the stem is the mixture over again, perhaps scaled.
    silence_ratio : float
        Share of tenths of a second whose RMS is below -60 dBFS, 0 to 1.
    clipped_samples : int
        Samples, of all channels, beyond full scale, or at it three or more times in a row.
    """

    mixture_si_sdr_db: float | None
    equals_mixture: bool
    silence_ratio: float
    clipped_samples: int


@attrs.frozen(kw_only=True)
class Hints:
    """What `inspect_stems` found.

    Parameters
    ----------
    null_error_db : float or None
        Energy of the mixture minus the sum of the stems against the mixture's, -120 to 120 dB; None if both are
        silent. A residual is not summed, nor an accompaniment beside its parts.
    level_db : float or None
        Level of the sum of the stems against the mixture's, if the stems, raised by as much, sum to it and do not as
        they are: isomix lowers all files of a recording together if one would clip. None otherwise.
    stems : mapping of str to StemHints
        By name.
    sample_rate : int
        In Hz.
    duration : float
        In seconds.
    """

    null_error_db: float | None
    level_db: float | None
    stems: Mapping[str, StemHints]
    sample_rate: int
    duration: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What deserves a look; nothing of it need be a fault."""
        found = []
        if self.level_db is not None:
            found.append(f"the stems sum to the mixture at {self.level_db:+.2f} dB: they share a gain")
        elif self.null_error_db is not None and self.null_error_db > NULL_ERROR_DB:
            found.append(f"the stems do not sum to the mixture: the null error is {self.null_error_db:.1f} dB")
        for name, stem in self.stems.items():
            if stem.equals_mixture:
                found.append(f"{name} equals the mixture: right only if nothing else is played")
            if stem.silence_ratio == _ALWAYS_SILENT:
                found.append(f"{name} is silent throughout")
            if stem.clipped_samples:
                found.append(f"{name} is clipped, or beyond full scale: samples: {stem.clipped_samples}")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return everything in values that JSON can hold."""
        return {
            "null_error_db": self.null_error_db,
            "level_db": self.level_db,
            "stems": {name: attrs.asdict(stem) for name, stem in self.stems.items()},
            "sample_rate": self.sample_rate,
            "duration_seconds": self.duration,
            "warnings": list(self.warnings),
        }

    def to_text(self) -> str:
        """Return a table for people."""
        lines = [f"{'stem':<14}{'like mixture':>14}{'silent':>9}{'clipped':>9}"]
        for name, stem in self.stems.items():
            alike = "-" if stem.mixture_si_sdr_db is None else f"{stem.mixture_si_sdr_db:.1f} dB"
            lines.append(f"{name:<14}{alike:>14}{stem.silence_ratio:>9.0%}{stem.clipped_samples:>9}")
        if self.null_error_db is not None:
            lines.append(f"null error: {self.null_error_db:.1f} dB")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])

    def plot(self) -> Figure:
        """Return charts of likeness to the mixture and of silence, by stem; nothing is shown.

        Raises
        ------
        EngineUnavailable
            If matplotlib is not installed.
        """
        figure = open_figure(width=2 + 1.5 * len(self.stems), height=6)
        alike, silent = figure.subplots(2, sharex=True)
        draw_bars(alike, list(self.stems), {"": {name: stem.mixture_si_sdr_db for name, stem in self.stems.items()}})
        alike.axhline(ALIKE_DB, color="tab:red", linestyle="--")
        alike.set_ylabel("like the mixture, dB")
        draw_bars(silent, list(self.stems), {"": {name: stem.silence_ratio for name, stem in self.stems.items()}})
        silent.set(ylabel="share of silence", ylim=(0, 1))
        return figure


def inspect_stems(mixture: Recording, stems: Recordings) -> Hints:
    """Look for what is plainly wrong with stems, without true ones to compare with.

    Parameters
    ----------
    mixture : recording
        What was separated.
    stems : folder, or mapping of str to recording
        What came out; a `isomix.Separation` is such a mapping.

    Returns
    -------
    Hints

    Raises
    ------
    ObjectNotFound
        If there is no such file or folder.
    InvalidOptions
        If there is no stem, or recordings differ in sample rate, channels or by more than 0.1 s.
    AudioRejected
        If one cannot be read as audio.

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 8000)).astype(np.float32)
    >>> hints = inspect_stems((noise, 8000), {"vocals": (noise, 8000)})
    >>> hints.null_error_db, hints.warnings
    (-120.0, ('vocals equals the mixture: right only if nothing else is played',))
    """
    recordings = list_recordings(stems)
    summed = _list_summed(recordings)
    meter = _SumMeter()
    samples = 0
    with open_alike(
        {f"the {MIXTURE}": mixture} | {f"the stem {name}": stem for name, stem in recordings.items()}
    ) as by:
        opened = list(by.values())
        meters = {name: _StemMeter(opened[0].sample_rate) for name in recordings}
        for whole, *parts in read_aligned(opened):
            named = dict(zip(recordings, parts, strict=True))
            for name, part in named.items():
                meters[name].add(whole, part)
            meter.add(whole, np.sum([named[name] for name in summed], axis=0, dtype=np.float64))
            samples += whole.shape[1]
    sample_rate = opened[0].sample_rate
    return Hints(
        null_error_db=meter.null_error_db,
        level_db=meter.level_db,
        stems={name: meter.hints for name, meter in meters.items()},
        sample_rate=sample_rate,
        duration=samples / sample_rate,
    )


def _list_summed(names: Mapping[str, object]) -> list[str]:
    """Return the stems that should sum to the mixture; all of them, where only others are there."""
    summed = [name for name in names if name != RESIDUAL]
    if any(name not in (VOCALS, ACCOMPANIMENT) for name in summed):
        summed = [name for name in summed if name != ACCOMPANIMENT]
    return summed


class _SumMeter:
    """Measures the sum of the stems beside the mixture."""

    def __init__(self) -> None:
        self._mixture = self._sum = self._both = self._error = 0.0

    def add(self, mixture: Audio, total: NDArray[np.float64]) -> None:
        self._mixture += float(np.square(mixture, dtype=np.float64).sum())
        self._sum += float(np.square(total).sum())
        self._both += float((mixture * total).sum())
        self._error += float(np.square(mixture - total).sum())

    @property
    def null_error_db(self) -> float | None:
        return ratio_db(self._error, self._mixture)

    @property
    def level_db(self) -> float | None:
        as_it_is = self.null_error_db
        if as_it_is is None or as_it_is <= NULL_ERROR_DB or self._both <= 0:
            return None
        # Least squares: the gain that the sum needs, and what is then left of the mixture.
        at_best = ratio_db(max(self._mixture - self._both**2 / self._sum, 0.0), self._mixture)
        return None if at_best is None or at_best > NULL_ERROR_DB else 20 * float(np.log10(self._sum / self._both))


class _StemMeter:
    """Measures one stem beside the mixture."""

    def __init__(self, sample_rate: int) -> None:
        self._frame = frame_samples(sample_rate)
        self._alike = DistortionMeter()
        self._frames = self._silent = self._clipped = 0

    def add(self, mixture: Audio, stem: Audio) -> None:
        self._alike.add(mixture, stem)
        self._clipped += _count_clipped(stem)
        starts = np.arange(0, stem.shape[1], self._frame)
        energies = np.add.reduceat(np.square(stem, dtype=np.float64).mean(axis=0), starts)
        sizes = np.diff(starts, append=stem.shape[1])
        self._frames += len(starts)
        self._silent += int((energies < sizes * 10 ** (SILENCE_DBFS / 10)).sum())

    @property
    def hints(self) -> StemHints:
        alike = self._alike.si_sdr_db
        return StemHints(
            mixture_si_sdr_db=alike,
            equals_mixture=alike is not None and alike >= ALIKE_DB,
            silence_ratio=self._silent / self._frames if self._frames else _ALWAYS_SILENT,
            clipped_samples=self._clipped,
        )


def _count_clipped(stem: Audio) -> int:
    magnitudes, samples, margin = np.abs(stem), stem.shape[1], CLIPPED_RUN - 1
    is_full = np.pad(magnitudes >= _FULL_SCALE, ((0, 0), (margin, margin)))
    begins_run = np.logical_and.reduce([is_full[:, step : step + samples + margin] for step in range(CLIPPED_RUN)])
    in_run = np.logical_or.reduce([begins_run[:, step : step + samples] for step in range(CLIPPED_RUN)])
    return int((in_run | (magnitudes > 1)).sum())
