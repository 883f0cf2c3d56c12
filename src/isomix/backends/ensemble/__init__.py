"""Ensembles: several models hear the mixture, and each stem is the weighted mean of what they say of it.

Light: nothing is opened before the ensemble is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

from isomix.audio.overlap import Segmentation
from isomix.domain.options import EngineOptions
from isomix.domain.weights import CommercialUse
from isomix.engine import EngineSpec
from isomix.errors import InvalidOptions
from isomix.plugins import installed

NOMINAL = Segmentation(length=2**18, hop=2**18)
"""What a spec must state; each member cuts the recording its own way."""

_STRICTEST: tuple[CommercialUse, ...] = ("no", "unknown", "yes")


@attrs.frozen
class EnsembleMember:
    """A model of an ensemble and what it weighs.

    Parameters
    ----------
    spec : EngineSpec
        The model.
    weights : tuple of float
        For each stem of the ensemble, in its order; zero where the model has no say.
    """

    spec: EngineSpec
    weights: tuple[float, ...]


def _to_members(models: Any) -> tuple[EnsembleMember, ...]:
    """Look the models up and check that they fit each other."""
    if isinstance(models, tuple) and all(isinstance(member, EnsembleMember) for member in models):
        return models
    if not isinstance(models, Mapping) or not models:
        raise _refuse("an ensemble is a mapping of at least one model to its weight", models)
    specs = [_find(model) for model in models]
    for name in ("stems", "normalization"):
        _check_equal(specs, name)
    stems = specs[0].stems
    members = tuple(
        EnsembleMember(spec, _to_weights(spec.name, stems, given))
        for spec, given in zip(specs, models.values(), strict=True)
    )
    for index, stem in enumerate(stems):
        if not any(member.weights[index] for member in members):
            raise _refuse(f"no model of the ensemble has a weight for {stem!r}", models)
    return members


def _find(model: object) -> EngineSpec:
    return model if isinstance(model, EngineSpec) else installed().get_spec(str(model), EngineOptions())


def _check_equal(specs: Sequence[EngineSpec], name: str) -> None:
    first = getattr(specs[0], name)
    for spec in specs[1:]:
        other = getattr(spec, name)
        if other != first if isinstance(first, str) else set(other) != set(first):
            raise _refuse(
                f"models of an ensemble must have equal {name}: {specs[0].name} has {first}, {spec.name} has {other}",
                tuple(spec.name for spec in specs),
            )


def _to_weights(model: str, stems: tuple[str, ...], given: float | Mapping[str, float]) -> tuple[float, ...]:
    per_stem = given if isinstance(given, Mapping) else dict.fromkeys(stems, given)
    if unknown := sorted(set(per_stem) - set(stems)):
        raise _refuse(f"{model} has no stem {unknown[0]!r} to be weighed; it has {', '.join(stems)}", given)
    for weight in per_stem.values():
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not (is_number and math.isfinite(weight) and weight >= 0):
            raise _refuse(f"a weight of {model} must be a number of at least 0, not {weight!r}", given)
    return tuple(float(per_stem.get(stem, 0.0)) for stem in stems)


def _refuse(message: str, value: object) -> InvalidOptions:
    return InvalidOptions(message, option="model", value=value)


def _derived(fact: Callable[[list[EngineSpec]], Any]) -> Any:
    """Return a field that follows from the members' specs."""
    follow = attrs.Factory(lambda spec: fact([member.spec for member in spec.members]), takes_self=True)
    return attrs.field(init=False, default=follow)


def _joined(texts: Sequence[str], separator: str) -> str:
    return separator.join(dict.fromkeys(text for text in texts if text))


@attrs.frozen
class Ensemble(EngineSpec):
    """Several models as one: each stem is the weighted mean of theirs. It can be given wherever a model can.

    The models run one beside the other over the same stream, each with its own segments, sample rate and channels;
    memory is the sum of theirs, however long the recording. A model that no wanted stem needs is not opened.

    Parameters
    ----------
    members : mapping of str or EngineSpec to float or mapping of str to float
        What each model weighs: in all stems, or in each stem that is named, and nothing in the others. Only ratios
        matter. The models have the same stems, in any order.
    name : str
        For results; ``"ensemble(model-a, model-b)"`` if not given.

    Raises
    ------
    InvalidOptions
        If the models have different stems, only some of them want the recording normalized as a whole, a weight is
        negative, or a stem is left without any model.
    UnknownModel
        If there is no such model.

    Examples
    --------
    >>> ensemble = Ensemble({"spleeter:2stems": 1.0, "spleeter:2stems-16kHz": {"vocals": 2.0}})
    >>> ensemble.name, ensemble.stems, [member.weights for member in ensemble.members]
    ('ensemble(spleeter:2stems, spleeter:2stems-16kHz)', ('vocals', 'accompaniment'), [(1.0, 1.0), (2.0, 0.0)])
    """

    members: tuple[EnsembleMember, ...] = attrs.field(converter=_to_members)
    name: str = attrs.field(kw_only=True)
    stems: tuple[str, ...] = _derived(lambda specs: specs[0].stems)
    factory: str = attrs.field(init=False, default="isomix.backends.ensemble.engine:open_ensemble")
    segmentation: Segmentation = attrs.field(init=False, default=NOMINAL)
    sample_rate: int = _derived(lambda specs: max(spec.sample_rate for spec in specs))
    channels: Literal[1, 2] = _derived(lambda specs: max(spec.channels for spec in specs))
    normalization: Literal["none", "track"] = _derived(lambda specs: specs[0].normalization)
    licence: str = _derived(lambda specs: _joined([spec.licence for spec in specs], " + "))
    commercial_use: CommercialUse = attrs.field(init=False)
    summary: str = _derived(lambda specs: "The weighted mean of " + _joined([spec.name for spec in specs], ", "))
    extra: str = _derived(lambda specs: _joined(sorted(spec.extra for spec in specs), ","))
    cpu_cost: float | None = attrs.field(init=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of its members; their weights are what it needs."""
        return tuple(member.spec.name for member in self.members)

    @name.default
    def _default_name(self) -> str:
        return f"ensemble({', '.join(member.spec.name for member in self.members)})"

    @commercial_use.default
    def _strictest_use(self) -> CommercialUse:
        return min((member.spec.commercial_use for member in self.members), key=_STRICTEST.index)

    @cpu_cost.default
    def _sum_of_costs(self) -> float | None:
        costs = [member.spec.cpu_cost for member in self.members if any(member.weights)]
        return None if None in costs else sum(cost or 0.0 for cost in costs)
