"""What is known of a model before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from isomix.domain.options import EngineOptions
from isomix.domain.weights import CommercialUse, Quality, WeightFile, Weights
from isomix.engine import EngineSpec
from isomix.plugins import installed

_OWN = "isomix.backends."


@attrs.frozen(kw_only=True)
class ModelInfo:
    """The facts of a model.

    Parameters
    ----------
    name : str
        What `isomix.separate` calls it.
    engine : str
        Whose it is: an engine of isomix, or the package it comes from.
    summary : str
        One line: what it is good for.
    stems : tuple of str
        What comes out.
    sample_rate : int
        Rate it works at, in Hz; recordings of any rate are converted and come back at their own.
    channels : int
        1 or 2.
    parts : tuple of str
        The models it is made of, if any.
    size_bytes : int or None
        What a first use downloads, roughly; 0 for a model without weights, None if nobody has said.
    licence : str
        Of the model with its weights.
    commercial_use : {"yes", "no", "unknown"}
        Whether that licence allows commercial use.
    sources : tuple of str
        Where the weights come from, best first.
    files : tuple of WeightFile
        The weights as they were published, with their sha256 as far as it is known.
    quality : Quality or None
        A published figure, with its citation.
    cpu_cost : float or None
        Time on a CPU, in float32 and for all stems, as a multiple of ``spleeter:2stems``'s.
    extra : str
        Extra of the distribution that it needs.
    """

    name: str
    engine: str
    summary: str
    stems: tuple[str, ...]
    sample_rate: int
    channels: int
    parts: tuple[str, ...]
    size_bytes: int | None
    licence: str
    commercial_use: CommercialUse
    sources: tuple[str, ...]
    files: tuple[WeightFile, ...]
    quality: Quality | None
    cpu_cost: float | None
    extra: str

    @classmethod
    def of(cls, spec: EngineSpec) -> ModelInfo:
        """Return the facts of a spec and, for their weights, of its parts."""
        family = list(_list_family(spec))
        weights = _list_weights(family)
        return cls(
            **{name: getattr(spec, name) for name in _SHARED},
            engine=spec.factory.partition(":")[0].removeprefix(_OWN).partition(".")[0],
            size_bytes=_get_size(family),
            sources=tuple(dict.fromkeys(str(source) for held in weights for source in held.sources)),
            files=tuple(file for held in weights for file in held.files),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it in values that JSON can hold."""
        facts = attrs.asdict(self)
        if self.quality is not None:
            facts["quality"]["figures"] = dict(self.quality.figures)
        return facts


_SHARED = (
    "name",
    "summary",
    "stems",
    "sample_rate",
    "channels",
    "parts",
    "licence",
    "commercial_use",
    "quality",
    "cpu_cost",
    "extra",
)


def get_info(model: str) -> ModelInfo:
    """Return what is known of a model. Nothing is fetched; a listed model is not even looked for.

    Parameters
    ----------
    model : str
        One of `isomix.list_models`, or a name that a plugin understands.

    Returns
    -------
    ModelInfo

    Raises
    ------
    UnknownModel
        If there is none of that name.

    Examples
    --------
    >>> info = get_info("htdemucs_ft")
    >>> info.commercial_use, info.size_bytes, str(info.quality)[:20]
    ('unknown', 336000000, 'SDR, dB: mean 9.00 (')
    """
    return ModelInfo.of(installed().get_spec(model, EngineOptions(offline=True)))


def _list_family(spec: EngineSpec) -> Iterator[EngineSpec]:
    yield spec
    for part in spec.parts:
        yield from _list_family(installed().get_spec(part))


def _list_weights(family: list[EngineSpec]) -> list[Weights]:
    held = [spec.weights or spec.published for spec in family]
    return list({weights.name: weights for weights in held if weights}.values())


def _get_size(family: list[EngineSpec]) -> int | None:
    """Sum what is known; models that are made of others have no weights of their own."""
    sizes = [spec.download_bytes for spec in family if not spec.weights and not spec.parts]
    if any(size is None for size in sizes):
        return None
    stored = {spec.weights.name: spec.download_bytes or spec.weights.size_bytes for spec in family if spec.weights}
    return sum(size or 0 for size in sizes) + sum(stored.values())
