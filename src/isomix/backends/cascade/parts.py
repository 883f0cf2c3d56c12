"""From a cascade's spec and options to its opened parts, each asked only for what is needed of it."""

from __future__ import annotations

import attrs

from isomix.backends.cascade import CascadeSpec
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine
from isomix.errors import InvalidOptions, PluginError
from isomix.plugins import Registry, open_engine


@attrs.frozen
class Parts:
    """The opened engines of a cascade.

    Parameters
    ----------
    first : SeparationEngine
        Hears the mixture.
    second : SeparationEngine or None
        Hears the first's stem; None where no stem of it is wanted.
    """

    first: SeparationEngine
    second: SeparationEngine | None

    @property
    def opened(self) -> list[SeparationEngine]:
        """The engines that were opened."""
        return [self.first] if self.second is None else [self.first, self.second]


def open_parts(spec: CascadeSpec, options: EngineOptions, registry: Registry) -> Parts:
    """Open the engines that the wanted stems need.

    Parameters
    ----------
    spec : CascadeSpec
        Names the parts.
    options : EngineOptions
        Passed down to both, the stems divided among them. An ``overlap`` goes to the parts whose overlap can be
        chosen.
    registry : Registry
        Where the parts are found.

    Returns
    -------
    Parts

    Raises
    ------
    PluginError
        If the parts do not fit the spec or each other.
    InvalidOptions
        If a stem is not the cascade's, or an overlap is given and no part's can be chosen.
    UnknownModel
        If a part is not installed.
    """
    first, second = (registry.get_spec(name) for name in spec.parts)
    _check_fit(spec, first, second)
    _check_overlap(options, first, second)
    wanted = _get_wanted(spec, options)
    of_second = tuple(stem for stem in second.stems if stem in wanted)
    fed = (spec.stem,) if of_second else ()
    of_first = tuple(stem for stem in first.stems if stem in fed or (stem in wanted and stem != spec.stem))
    engine = open_engine(first, _options_for(first, options, of_first))
    try:
        return Parts(engine, open_engine(second, _options_for(second, options, of_second)) if of_second else None)
    except BaseException:
        engine.close()
        raise


def _get_wanted(spec: CascadeSpec, options: EngineOptions) -> tuple[str, ...]:
    """Return the wanted stems; what every engine checks at its birth, a cascade must before its parts are born."""
    wanted = spec.stems if options.stems is None else options.stems
    if unknown := sorted(set(wanted) - set(spec.stems)):
        raise InvalidOptions(f"{spec.name} has no stems {unknown}", option="stems", value=options.stems)
    return wanted


def _options_for(part: EngineSpec, options: EngineOptions, stems: tuple[str, ...]) -> EngineOptions:
    return attrs.evolve(options, stems=stems, overlap=options.overlap if _has_free_overlap(part) else None)


def _has_free_overlap(part: EngineSpec) -> bool:
    # The nominal cut of a cascade within a cascade is free, too: that cascade passes the overlap on.
    return part.segmentation.window == "triangular"


def _check_overlap(options: EngineOptions, *parts: EngineSpec) -> None:
    if options.overlap is not None and not any(map(_has_free_overlap, parts)):
        names = " and ".join(part.name for part in parts)
        raise InvalidOptions(
            f"the overlaps of {names} are fixed by their STFTs", option="overlap", value=options.overlap
        )


def _check_fit(spec: CascadeSpec, first: EngineSpec, second: EngineSpec) -> None:
    for part in (first, second):
        for name in ("sample_rate", "channels"):
            _check_equal(spec, f"{part.name}'s {name}", getattr(part, name), getattr(spec, name))
    _check_equal(spec, f"{first.name}'s normalization", first.normalization, spec.normalization)
    _check_equal(spec, f"{second.name}'s normalization", second.normalization, "none")
    if spec.stem not in first.stems:
        raise PluginError(f"{spec.name}: {first.name} has no stem {spec.stem!r}", plugin=spec.name)
    kept = [stem for stem in first.stems if stem != spec.stem]
    _check_equal(spec, "the parts' stems", sorted([*kept, *second.stems]), sorted(spec.stems))


def _check_equal(spec: CascadeSpec, what: str, actual: object, needed: object) -> None:
    if actual != needed:
        raise PluginError(f"{spec.name}: {what} must be {needed!r}, not {actual!r}", plugin=spec.name)
