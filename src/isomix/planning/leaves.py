"""From a model to the models that do its work: the parts of a cascade, the members of an ensemble, or itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from isomix.backends.cascade import CascadeSpec
from isomix.backends.ensemble import Ensemble
from isomix.backends.ensemble.engine import list_needed
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec
from isomix.errors import InvalidOptions
from isomix.plugins import installed


@attrs.frozen
class Leaf:
    """A model that is made of no others, and how it will be opened.

    Parameters
    ----------
    spec : EngineSpec
        The model.
    options : EngineOptions
        Its ``stems`` are those that it has to compute.
    """

    spec: EngineSpec
    options: EngineOptions

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that it has to compute, in its own order."""
        wanted = self.spec.stems if self.options.stems is None else self.options.stems
        return tuple(stem for stem in self.spec.stems if stem in wanted)


def list_leaves(spec: EngineSpec, options: EngineOptions) -> list[Leaf]:
    """List the models that will be opened for the wanted stems.

    Parameters
    ----------
    spec : EngineSpec
        The model that is asked for.
    options : EngineOptions
        How; an ``overlap`` goes to the leaves whose overlap can be chosen.

    Returns
    -------
    list of Leaf

    Raises
    ------
    InvalidOptions
        If an overlap is given that no leaf can take.
    UnknownModel
        If a part of a cascade is not installed.

    Examples
    --------
    >>> options = EngineOptions(stems=("drums",))
    >>> [(leaf.spec.name, leaf.stems) for leaf in list_leaves(installed().get_spec("spleeter+hpss"), options)]
    [('spleeter:2stems', ('accompaniment',)), ('hpss', ('drums',))]
    """
    leaves = list(_descend(Leaf(spec, options)))
    if options.overlap is None:
        return leaves
    if leaves == [Leaf(spec, options)]:
        spec.segmentation.with_overlap(options.overlap)  # raises where it is fixed
    if not any(map(_has_free_overlap, leaves)):
        names = " and ".join(leaf.spec.name for leaf in leaves)
        raise InvalidOptions(
            f"the overlaps of {names} are fixed by their STFTs", option="overlap", value=options.overlap
        )
    return [leaf if _has_free_overlap(leaf) else _without_overlap(leaf) for leaf in leaves]


def _descend(leaf: Leaf) -> Iterator[Leaf]:
    spec = leaf.spec
    if isinstance(spec, Ensemble):
        for member in list_needed(spec, leaf.stems):
            weights = dict(zip(leaf.stems, member.weights, strict=True))
            yield from _descend(_part(leaf, member.spec, [stem for stem in leaf.stems if weights[stem]]))
    elif isinstance(spec, CascadeSpec):
        first, second = (installed().get_spec(name) for name in spec.parts)
        of_second = [stem for stem in second.stems if stem in leaf.stems]
        fed = [spec.stem] if of_second else []
        yield from _descend(_part(leaf, first, [*fed, *(stem for stem in leaf.stems if stem != spec.stem)]))
        if of_second:
            yield from _descend(_part(leaf, second, of_second))
    else:
        yield leaf


def _part(leaf: Leaf, spec: EngineSpec, stems: Sequence[str]) -> Leaf:
    return Leaf(spec, attrs.evolve(leaf.options, stems=tuple(stem for stem in spec.stems if stem in stems)))


def _without_overlap(leaf: Leaf) -> Leaf:
    return attrs.evolve(leaf, options=attrs.evolve(leaf.options, overlap=None))


def _has_free_overlap(leaf: Leaf) -> bool:
    return leaf.spec.segmentation.window == "triangular"
