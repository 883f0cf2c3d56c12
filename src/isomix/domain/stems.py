"""Which stems a caller gets, what the engine must compute for them, and what follows by subtraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from isomix.errors import InvalidOptions, UnknownStem

RESIDUAL = "residual"
"""The mixture minus every stem of the model."""
ACCOMPANIMENT = "accompaniment"
VOCALS = "vocals"


@attrs.frozen
class StemPlan:
    """The work behind the stems that were asked for.

    Parameters
    ----------
    names : tuple of str
        What the caller gets, in order.
    computed : tuple of str
        What the engine computes, in its order.
    subtracted : mapping of str to tuple of str
        The other names: the mixture minus these computed stems.
    has_all : bool
        Whether every stem of the model is computed, so that a residual is known.

    Examples
    --------
    >>> plan = StemPlan.of("m", ("drums", "vocals"), ["vocals", "accompaniment"])
    >>> plan.computed, dict(plan.subtracted)
    (('vocals',), {'accompaniment': ('vocals',)})
    """

    names: tuple[str, ...]
    computed: tuple[str, ...]
    subtracted: Mapping[str, tuple[str, ...]]
    has_all: bool

    @classmethod
    def of(cls, model: str, model_stems: tuple[str, ...], wanted: Sequence[str] | None) -> StemPlan:
        """Plan for a model's stems and a wish; None wishes for the model's own.

        Raises
        ------
        InvalidOptions
            If no stem is asked for.
        UnknownStem
            If the model neither has a stem nor can derive it.
        """
        names = model_stems if wanted is None else tuple(dict.fromkeys(wanted))
        if not names:
            raise InvalidOptions("no stem is asked for", hint="None means all", option="stems", value=wanted)
        derivable = {RESIDUAL: model_stems}
        if VOCALS in model_stems and ACCOMPANIMENT not in model_stems:
            derivable[ACCOMPANIMENT] = (VOCALS,)
        for name in names:
            if name not in model_stems and name not in derivable:
                raise _unknown(model, (*model_stems, *derivable), name)
        subtracted = {name: derivable[name] for name in names if name not in model_stems}
        needed = {*names, *(part for parts in subtracted.values() for part in parts)}
        computed = tuple(stem for stem in model_stems if stem in needed)
        return cls(names, computed, subtracted, has_all=computed == model_stems)


def _unknown(model: str, known: Sequence[str], stem: str) -> UnknownStem:
    return UnknownStem(
        f"{model} gives no stem {stem!r}; it gives " + ", ".join(known), stem=stem, known=tuple(known), model=model
    )
