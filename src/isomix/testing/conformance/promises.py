"""Checks of what a spec promises: what the model is, and which stems come out, alone or in batches."""

from __future__ import annotations

import numpy as np

from isomix.audio.blocks import Audio
from isomix.engine import EngineSpec, SeparationEngine
from isomix.errors import EngineError, EngineUnavailable, IsomixError, SeparationFailed, WeightsUnavailable
from isomix.separation import Separator
from isomix.testing.conformance.rules import Broken, Check, Unmeasurable, raise_unless_local
from isomix.testing.conformance.signals import ratio_db
from isomix.testing.conformance.subject import Subject

BATCH = 3


def _check_spec(subject: Subject) -> None:
    spec = subject.spec
    if not spec.licence or (spec.licence == "unknown" and _is_own(spec)):
        raise Broken(f"its licence is {spec.licence!r}")
    if spec.licence == "unknown" and spec.commercial_use == "yes":
        raise Broken("its licence is unknown, and yet commercial_use is 'yes'")


def _check_opens(subject: Subject) -> None:
    spec, engine = subject.spec, _open(subject)
    if engine.spec != spec:
        raise Broken(f"the opened engine's spec is that of {engine.spec.name!r}, or was changed")
    if engine.stems != spec.stems:
        raise Broken(f"opened for all stems it has {engine.stems}, its spec promises {spec.stems}")
    for name in ("device", "precision", "runtime"):
        value = getattr(engine, name)
        if not (isinstance(value, str) and value):
            raise Broken(f"its {name} is {value!r}: every result records it as text")


def _is_own(spec: EngineSpec) -> bool:
    """Tell whether the model stands on no weights, packages or models of others, whose licence nobody may know."""
    return not (spec.weights or spec.published or spec.extra or spec.parts)


def _open(subject: Subject) -> SeparationEngine:
    try:
        return subject.engine
    except (EngineUnavailable, WeightsUnavailable) as error:
        # Without an extra to install, a package that is missing is the engine's own mistake.
        if isinstance(error, WeightsUnavailable) or subject.spec.extra:
            raise_unless_local(error)
        raise
    except IsomixError as error:
        raise Broken(f"its factory {subject.spec.factory} does not open it: {error}") from error


def _check_segment(subject: Subject) -> None:
    try:
        subject.engine.separate(subject.noise(1)[None])
    except SeparationFailed as error:
        if _is_writing(error):
            raise Unmeasurable("it writes into its input: see the check 'untouched'") from error
        raise


def _is_writing(error: EngineError) -> bool:
    return isinstance(error.__cause__, ValueError) and "read-only" in str(error.__cause__)


def _check_untouched(subject: Subject) -> None:
    mixture = subject.noise(1)[None]
    original = mixture.copy()
    try:
        first = subject.engine.separate(mixture)
    except EngineError as error:
        if _is_writing(error):
            raise Broken("it writes into its input, which is read-only for that reason") from error
        raise Unmeasurable("it does not separate a segment: see the check 'segment'") from error
    changed = int((mixture != original).sum())
    if changed:
        raise Broken(f"{changed} of {mixture.size} samples of the caller's array were changed")
    kept = first.copy()
    subject.engine.separate(subject.noise(1, seed=1)[None])
    changed = int((first != kept).sum())
    if changed:
        raise Broken(f"{changed} of {first.size} samples of a result were changed by the next call")
    subject.engine.separate(original)[...] = np.nan  # as a caller may: it is his
    again = subject.engine.separate(original)
    changed = int(np.isnan(again).sum())
    if changed:
        raise Broken(f"{changed} of {again.size} samples of a new result are what a caller wrote into an earlier one")


def _check_batch(subject: Subject) -> None:
    batch = np.stack([subject.noise(1, seed=seed) * np.float32(0.5**seed) for seed in range(BATCH)])
    together = subject.engine.separate(batch.copy())
    for number, segment in enumerate(batch):
        alone = subject.engine.separate(segment[None].copy())[0]
        subject.require_equal(
            f"segment {number} in a batch of {BATCH}, against alone,", together[number], alone, segment
        )


def _check_stems(subject: Subject) -> None:
    names = subject.spec.stems
    mixture = subject.noise(1)
    every = subject.engine.separate(mixture[None].copy())[0].copy()
    for stem in names:
        with subject.open([stem]) as engine:
            if engine.stems != (stem,):
                raise Broken(f"opened for {(stem,)} it has {engine.stems}")
            alone = engine.separate(mixture[None].copy())[0, 0]
        _require_stem(subject, stem, alone, every, mixture)
    with subject.open(names[::-1]) as engine:
        if engine.stems != names:
            raise Broken(f"opened for {names[::-1]} it has {engine.stems}: the order is that of the spec, {names}")
    _check_asked_order(subject, names[::-1])


def _check_asked_order(subject: Subject, names: tuple[str, ...]) -> None:
    """Ask as users do, by name, of the whole pipe."""
    mixture, every = subject.take
    with Separator(subject.spec, stems=names, **subject.choices) as separator:
        separation = separator.separate((mixture, subject.spec.sample_rate))
    for stem in names:
        _require_stem(subject, stem, separation[stem].array, every, mixture)


def _require_stem(subject: Subject, stem: str, found: Audio, every: Audio, mixture: Audio) -> None:
    try:
        expected = every[subject.spec.stems.index(stem)]
        subject.require_equal(f"{stem!r}, asked for alone or in another order,", found, expected, mixture)
    except Broken as error:
        near = min(range(len(every)), key=lambda index: ratio_db(found - every[index], mixture))
        raise Broken(f"{error}; it is most like {subject.spec.stems[near]!r} of all stems") from error


PROMISES = (
    Check(
        "spec",
        "The spec states under which licence the model comes.",
        _check_spec,
        needs=(),
    ),
    Check(
        "opens",
        "The spec's factory opens an engine of that spec, with its stems; it says what it runs on.",
        _check_opens,
        needs=(),
    ),
    Check(
        "segment",
        "A (batch, channels, samples) float32 segment gives new, finite float32 stems of (batch, stems, channels, "
        "samples).",
        _check_segment,
        needs=("opens",),
    ),
    Check(
        "untouched",
        "The input array is never changed, and a result is the caller's: no later call writes into it.",
        _check_untouched,
        needs=("opens",),
    ),
    Check(
        "stems",
        "Opened for some of its stems, an engine returns exactly these, in the order of the spec, unchanged by what "
        "else is asked for.",
        _check_stems,
        needs=("determinism", "reopen"),
    ),
    Check(
        "batch",
        "The segments of a batch have nothing to do with each other: together they give what each gives alone.",
        _check_batch,
        needs=("determinism",),
    ),
)
