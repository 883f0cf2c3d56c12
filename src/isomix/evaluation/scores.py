"""What an evaluation found, as values: for people, for programs, for the eye."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from isomix.evaluation.plotting import draw_bars, open_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@attrs.frozen
class BssEval:
    """Medians over frames of one second of BSS Eval version 4; None where no frame can be judged.

    Parameters
    ----------
    sdr_db : float or None
        Source to distortion: all that is wrong.
    isr_db : float or None
        Image to spatial distortion: the stem itself, filtered or panned.
    sir_db : float or None
        Source to interference: other stems heard in this one.
    sar_db : float or None
        Sources to artefacts: what is in no stem.
    """

    sdr_db: float | None
    isr_db: float | None
    sir_db: float | None
    sar_db: float | None


@attrs.frozen(kw_only=True)
class StemScores:
    """How near one estimate is to its reference; all in dB, higher is better, from -120 to 120 (an exact copy).

    Parameters
    ----------
    sdr_db : float or None
        ``10 log10(|reference|^2 / |reference - estimate|^2)`` over all samples and channels, as in the Music Demixing
        Challenge; None for a silent reference.
    si_sdr_db : float or None
        The same with the reference scaled to fit best, one factor for all channels; None if either is silent.
    bss_eval : BssEval or None
        None if it was not asked for, or if either is silent.
    """

    sdr_db: float | None
    si_sdr_db: float | None
    bss_eval: BssEval | None = None


@attrs.frozen(kw_only=True)
class Evaluation:
    """What `evaluate` found.

    Parameters
    ----------
    stems : mapping of str to StemScores
        The stems that are on both sides.
    sample_rate : int
        In Hz.
    duration : float
        In seconds: of the longest recording.
    notes : tuple of str
        Stems that were left out or derived, references that are silent.

    Examples
    --------
    >>> scores = {"vocals": StemScores(sdr_db=9.0, si_sdr_db=8.5), "bass": StemScores(sdr_db=7.0, si_sdr_db=6.5)}
    >>> evaluation = Evaluation(stems=scores, sample_rate=44100, duration=180.0)
    >>> evaluation.mean_sdr_db
    8.0
    >>> print(evaluation.to_text())
    stem                SDR   SI-SDR
    vocals             9.00     8.50
    bass               7.00     6.50
    mean               8.00
    """

    stems: Mapping[str, StemScores]
    sample_rate: int
    duration: float
    notes: tuple[str, ...] = ()

    @property
    def mean_sdr_db(self) -> float | None:
        """Mean SDR of the stems that have one: the song's SDR of the Music Demixing Challenge."""
        told = [scores.sdr_db for scores in self.stems.values() if scores.sdr_db is not None]
        return sum(told) / len(told) if told else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything in values that JSON can hold."""
        return {
            "stems": {name: attrs.asdict(scores) for name, scores in self.stems.items()},
            "mean_sdr_db": self.mean_sdr_db,
            "sample_rate": self.sample_rate,
            "duration_seconds": self.duration,
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """Return a table for people, in dB."""
        columns = {label: list(values.values()) for label, values in self._columns().items()}
        lines = [_row("stem", *columns)]
        for position, name in enumerate(self.stems):
            lines.append(_row(name, *(_figure(values[position]) for values in columns.values())))
        lines.append(_row("mean", _figure(self.mean_sdr_db)))
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def plot(self) -> Figure:
        """Return a chart of the figures of each stem; nothing is shown.

        Raises
        ------
        EngineUnavailable
            If matplotlib is not installed.
        """
        figure = open_figure(width=2 + 1.5 * len(self.stems))
        axes = figure.subplots()
        draw_bars(axes, list(self.stems), self._columns())
        axes.set_ylabel("dB, higher is better")
        return figure

    def _columns(self) -> dict[str, dict[str, float | None]]:
        columns = {
            "SDR": {name: scores.sdr_db for name, scores in self.stems.items()},
            "SI-SDR": {name: scores.si_sdr_db for name, scores in self.stems.items()},
        }
        if any(scores.bss_eval for scores in self.stems.values()):
            for field in attrs.fields(BssEval):
                label = f"v4 {field.name.removesuffix('_db').upper()}"
                columns[label] = {
                    name: getattr(scores.bss_eval, field.name, None) for name, scores in self.stems.items()
                }
        return columns


def _row(name: str, *cells: str) -> str:
    return f"{name:<14}" + "".join(f"{cell:>9}" for cell in cells)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
