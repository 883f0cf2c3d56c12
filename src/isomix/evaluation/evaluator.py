"""Estimates against references, in one pass and constant memory; BSS Eval, where it is asked for, holds all."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np

from isomix.audio.blocks import Audio
from isomix.domain.stems import ACCOMPANIMENT
from isomix.evaluation import bss
from isomix.evaluation.aligned import open_alike, read_aligned
from isomix.evaluation.ratios import DistortionMeter
from isomix.evaluation.recordings import Pairing, Recordings, list_recordings
from isomix.evaluation.scores import Evaluation, StemScores

_LEVEL_GAP_DB = 6.0
"""SI-SDR beyond SDR by as much in every stem: three quarters of the error is level."""


def evaluate(references: Recordings, estimates: Recordings, *, bss_eval: bool = False) -> Evaluation:
    """Compare stems with the true ones.

    Parameters
    ----------
    references : folder, or mapping of str to recording
        The true stems, by name.
    estimates : folder, or mapping of str to recording
        Those to be judged; a `isomix.Separation` is such a mapping.
    bss_eval : bool
        Also give BSS Eval version 4 by museval (``isomix[evaluate]``): slow, and in memory as a whole.

    Returns
    -------
    Evaluation

    Raises
    ------
    ObjectNotFound
        If there is no such folder.
    InvalidOptions
        If no stem is on both sides, or recordings differ in sample rate, channels or by more than 0.1 s.
    AudioRejected
        If one cannot be read as audio.
    EngineUnavailable
        If museval is wanted and not installed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> vocals = rng.uniform(-0.5, 0.5, (2, 44100)).astype(np.float32)
    >>> found = evaluate({"vocals": (vocals, 44100)}, {"vocals": (vocals * np.float32(0.9), 44100)})
    >>> round(found.stems["vocals"].sdr_db, 2)
    20.0
    """
    wanted, given = list_recordings(references), list_recordings(estimates)
    pairing = Pairing.of(wanted, given)
    used = {part for parts in pairing.parts.values() for part in parts}
    recordings = {("reference", name): wanted[name] for name in wanted if name in used}
    recordings |= {("estimate", name): given[name] for name in pairing.parts}
    meters = {name: _Meter(keep=bss_eval) for name in pairing.parts}
    samples = 0
    with open_alike({f"the {side} {name}": recording for (side, name), recording in recordings.items()}) as sources:
        opened = list(sources.values())
        for blocks in read_aligned(opened):
            named = dict(zip(recordings, blocks, strict=True))
            for name, parts in pairing.parts.items():
                reference = sum((named["reference", part] for part in parts[1:]), start=named["reference", parts[0]])
                meters[name].add(reference, named["estimate", name])
            samples += blocks[0].shape[1]
    sample_rate = opened[0].sample_rate
    scores = {name: meter.scores for name, meter in meters.items()}
    if bss_eval and samples:
        scores = _add_bss_eval(scores, meters, sample_rate)
    silent = tuple(f"the reference {name} is silent" for name, found in scores.items() if found.sdr_db is None)
    notes = pairing.notes + silent + _note_levels(scores)
    return Evaluation(stems=scores, sample_rate=sample_rate, duration=samples / sample_rate, notes=notes)


class _Meter:
    """Measures one stem; keeps it where BSS Eval will want it."""

    def __init__(self, *, keep: bool) -> None:
        self._meter, self._keep = DistortionMeter(), keep
        self._blocks: list[tuple[Audio, Audio]] = []

    def add(self, reference: Audio, estimate: Audio) -> None:
        self._meter.add(reference, estimate)
        if self._keep:
            self._blocks.append((reference, estimate))

    @property
    def scores(self) -> StemScores:
        return StemScores(sdr_db=self._meter.sdr_db, si_sdr_db=self._meter.si_sdr_db)

    def join(self) -> tuple[Audio, Audio]:
        """Return reference and estimate as a whole."""
        references, estimates = zip(*self._blocks, strict=True)
        self._blocks.clear()
        return np.concatenate(references, axis=1), np.concatenate(estimates, axis=1)


def _add_bss_eval(
    scores: Mapping[str, StemScores], meters: Mapping[str, _Meter], sample_rate: int
) -> dict[str, StemScores]:
    # Beside its own parts the accompaniment would make the references dependent, and SIR meaningless.
    apart = [name for name in scores if name != ACCOMPANIMENT or not _has_parts(scores)]
    joined = {name: meters[name].join() for name in apart}
    found = bss.measure(
        {name: reference for name, (reference, _) in joined.items()},
        {name: estimate for name, (_, estimate) in joined.items()},
        sample_rate,
    )
    return {name: attrs.evolve(stem, bss_eval=found.get(name)) for name, stem in scores.items()}


def _note_levels(scores: Mapping[str, StemScores]) -> tuple[str, ...]:
    """Note a gain that all estimates share, which SDR holds against them."""
    told = [(stem.sdr_db, stem.si_sdr_db) for stem in scores.values()]
    gaps = [si_sdr_db - sdr_db for sdr_db, si_sdr_db in told if sdr_db is not None and si_sdr_db is not None]
    if not gaps or min(gaps) < _LEVEL_GAP_DB:
        return ()
    return ("all estimates have another level than the references: SDR counts that, SI-SDR does not",)


def _has_parts(names: Mapping[str, object]) -> bool:
    return any(name not in ("vocals", ACCOMPANIMENT) for name in names)
