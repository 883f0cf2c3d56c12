"""The engine contract as checks, for any engine: ``pytest --isomix-engine=NAME``, or `examine` without pytest.

Each check tries one rule. Where a rule is broken it says what was found, with figures, and where the rule is written.

Examples
--------
>>> from isomix.testing.engines import pass_through_spec
>>> outcomes = examine(pass_through_spec(length=256, hop=192, sample_rate=8000), only=("segment", "length"))
>>> [(outcome.check.name, outcome.verdict) for outcome in outcomes]
[('segment', 'passed'), ('length', 'passed')]
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Unpack

from isomix.domain.options import EngineChoices
from isomix.engine import EngineSpec
from isomix.testing.conformance.examination import CHECKS, Examination
from isomix.testing.conformance.rules import Broken, Check, Outcome, Unmeasurable
from isomix.testing.conformance.subject import Subject

__all__ = ["CHECKS", "Broken", "Check", "Examination", "Outcome", "Subject", "Unmeasurable", "examine"]


def examine(
    model: str | EngineSpec,
    *,
    sums_db: float | None = None,
    only: Collection[str] | None = None,
    **choices: Unpack[EngineChoices],
) -> list[Outcome]:
    """Try the rules of the engine contract on an engine.

    Parameters
    ----------
    model : str or EngineSpec
        A model that an installed plugin offers, or its spec.
    sums_db : float, optional
        The claim that stems sum to the mixture: the null error is at most this, in dB.
    only : collection of str, optional
        Names of the checks that are wanted; all of them if None.
    **choices
        Fields of `isomix.EngineOptions`, such as ``device="cpu"``.

    Returns
    -------
    list of Outcome
        In the order of `CHECKS`.

    Raises
    ------
    UnknownModel
        If no plugin offers it.
    """
    make = Subject.named if isinstance(model, str) else Subject
    with make(model, sums_db=sums_db, **choices) as subject:  # type: ignore[arg-type]
        examination = Examination(subject)
        return [examination.get_outcome(check) for check in CHECKS if only is None or check.name in only]
