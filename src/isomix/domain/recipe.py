"""What is made of a mixture: equal recipes on equal mixtures give equal stems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

from isomix.domain.options import EngineOptions, Precision, Runtime
from isomix.errors import InvalidOptions


@attrs.frozen
class Recipe:
    """A model and how it is to run. Where it runs (device, folders, network) is the worker's own business.

    Parameters
    ----------
    model : str
        Name of the model.
    stems : tuple of str, optional
        The stems that are wanted; None for the model's own.
    overlap : float, optional
        Fraction of a segment shared with the next.
    shifts, seed : int
        Shifted passes that are averaged, and their seed.
    precision, runtime : str
        As in `isomix.EngineOptions`.

    Raises
    ------
    InvalidOptions
        If a value is outside its range.

    Examples
    --------
    >>> Recipe.from_dict(Recipe("hpss", ("drums",)).to_dict()) == Recipe("hpss", ("drums",))
    True
    """

    model: str
    stems: tuple[str, ...] | None = None
    overlap: float | None = None
    shifts: int = 0
    seed: int = 0
    precision: Precision = "auto"
    runtime: Runtime = "auto"

    def __attrs_post_init__(self) -> None:
        self.to_options()

    @property
    def choices(self) -> dict[str, Any]:
        """The engine's part of it, as keyword arguments of `isomix.Separator`."""
        names = ("overlap", "shifts", "seed", "precision", "runtime")
        return {name: getattr(self, name) for name in names}

    def to_options(self) -> EngineOptions:
        """Return it as options for an engine, checked."""
        return EngineOptions(**self.choices)

    def to_dict(self) -> dict[str, Any]:
        """Return it in values that JSON can hold."""
        return {"model": self.model, "stems": self.stems and list(self.stems), **self.choices}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Recipe:
        """Return what `to_dict` described.

        Raises
        ------
        InvalidOptions
            If there is a key that no recipe has.
        """
        unknown = sorted(set(facts) - {field.name for field in attrs.fields(cls)})
        if unknown:
            raise InvalidOptions(f"there is no option {unknown[0]!r}", option=unknown[0], value=facts[unknown[0]])
        stems = facts.get("stems")
        return cls(**{**facts, "stems": None if stems is None else tuple(stems)})

    def fingerprint(self, mixture_sha256: str, weights: str) -> str:
        """Return a digest that equal work shares.

        Parameters
        ----------
        mixture_sha256 : str
            Of the recording's bytes.
        weights : str
            What identifies the model's weights and code.
        """
        facts = json.dumps([mixture_sha256, weights, self.to_dict()], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()
