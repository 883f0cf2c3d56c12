"""Several engines side by side as one engine: the weighted mean of what they say of each stem."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
import numpy as np

from isomix.audio.blocks import Audio, StemStream
from isomix.audio.overlap import Member
from isomix.audio.resample import EngineRate
from isomix.backends.ensemble import Ensemble, EnsembleMember
from isomix.backends.ensemble.stream import MemberStream
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine
from isomix.errors import InvalidOptions, PluginError
from isomix.plugins import open_engine


@attrs.frozen(eq=False)
class Voice:
    """A member that was opened.

    Parameters
    ----------
    engine : SeparationEngine
        Gives the wanted stems that it has a weight for.
    weights : tuple of float
        For each wanted stem.
    """

    engine: SeparationEngine
    weights: tuple[float, ...]


class EnsembleEngine(SeparationEngine):
    """Engines that hear the same mixture.

    Parameters
    ----------
    spec : Ensemble
        Names the members.
    options : EngineOptions
        What the caller asked for; shifts, seed and batch size are the members' business.
    voices : sequence of Voice
        The members that are needed; the ensemble closes them.
    """

    def __init__(self, spec: Ensemble, options: EngineOptions, voices: Iterable[Voice]) -> None:
        super().__init__(spec, options)
        self._voices = tuple(voices)
        self._nothing = np.zeros((len(self.stems), spec.channels, 0), np.float32)

    # Properties, because a member may move to another device while it works.

    @property
    def device(self) -> str:  # type: ignore[override]
        """The devices of the members, each once: ``"cuda:0 + cpu"``."""
        return _joined(voice.engine.device for voice in self._voices)

    @property
    def precision(self) -> str:  # type: ignore[override]
        """The precisions of the members, each once."""
        return _joined(voice.engine.precision for voice in self._voices)

    @property
    def runtime(self) -> str:  # type: ignore[override]
        """The runtimes of the members, each once."""
        return _joined(voice.engine.runtime for voice in self._voices)

    def open_stream(self, before_segment: Callable[[], None] = lambda: None) -> StemStream:
        """Begin a recording.

        Parameters
        ----------
        before_segment : callable
            Called before each network call of any member; what it raises ends the separation.

        Returns
        -------
        StemStream
            Turns mixture blocks into stem blocks that every member has settled.
        """
        return self._average(
            [Member(self._open(voice.engine, before_segment), voice.weights) for voice in self._voices]
        )

    def close(self) -> None:
        """Close every member; closing twice is harmless."""
        for voice in self._voices:
            voice.engine.close()

    def _open(self, engine: SeparationEngine, before_segment: Callable[[], None]) -> MemberStream:
        rate = EngineRate(
            len(engine.stems),
            channels=self.spec.channels,
            sample_rate=self.spec.sample_rate,
            engine_channels=engine.spec.channels,
            engine_sample_rate=engine.spec.sample_rate,
        )
        places = [self.stems.index(stem) for stem in engine.stems]
        return MemberStream(engine.open_stream(before_segment), rate, places, len(self.stems))

    def _separate(self, mixture: Audio) -> Audio:
        """Take each segment as a recording of its own: the members' segments have other lengths."""
        return np.stack([self._separate_whole(segment) for segment in mixture])

    def _separate_whole(self, mixture: Audio) -> Audio:
        stream = self.open_stream()
        return np.concatenate([self._nothing, *stream.push(mixture), *stream.finish()], axis=-1)


def _joined(descriptions: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(descriptions))


def open_ensemble(spec: EngineSpec, options: EngineOptions) -> EnsembleEngine:
    """Open an ensemble and the members that the wanted stems need: the factory that every `Ensemble` names.

    Parameters
    ----------
    spec : Ensemble
        Which one.
    options : EngineOptions
        Passed down to the members. An ``overlap`` goes to those whose overlap can be chosen.

    Returns
    -------
    EnsembleEngine

    Raises
    ------
    PluginError
        If the spec is not an `Ensemble`.
    LicenceRefused
        If the options ask for commercial use and one member is not known to allow it.
    InvalidOptions
        If a stem is not the ensemble's, or an overlap is given and no member's can be chosen.
    """
    if not isinstance(spec, Ensemble):
        raise PluginError(f"{spec.name} is not an Ensemble", hint="make it with isomix.Ensemble", plugin=spec.name)
    spec.check_licence(options)
    wanted = _get_wanted(spec, options)
    needed = list_needed(spec, wanted)
    _check_overlap(options, needed)
    opened: list[Voice] = []
    try:
        for member in needed:
            weights = dict(zip(wanted, member.weights, strict=True))
            stems = tuple(stem for stem in member.spec.stems if weights.get(stem))
            opened.append(Voice(open_engine(member.spec, _options_for(member, options, stems)), member.weights))
        return EnsembleEngine(spec, options, opened)
    except BaseException:
        for voice in opened:
            voice.engine.close()
        raise


def list_needed(spec: Ensemble, wanted: tuple[str, ...]) -> list[EnsembleMember]:
    """Return the members that some wanted stem needs, each with its weights in those stems alone.

    Parameters
    ----------
    spec : Ensemble
        The ensemble.
    wanted : tuple of str
        Some of its stems.

    Returns
    -------
    list of EnsembleMember
    """
    picked = [spec.stems.index(stem) for stem in wanted]
    members = [
        attrs.evolve(member, weights=tuple(member.weights[index] for index in picked)) for member in spec.members
    ]
    return [member for member in members if any(member.weights)]


def _get_wanted(spec: Ensemble, options: EngineOptions) -> tuple[str, ...]:
    """Return the wanted stems in the ensemble's order, checked before any member is born."""
    wanted = spec.stems if options.stems is None else options.stems
    if unknown := sorted(set(wanted) - set(spec.stems)):
        raise InvalidOptions(f"{spec.name} has no stems {unknown}", option="stems", value=options.stems)
    return tuple(stem for stem in spec.stems if stem in wanted)


def _options_for(member: EnsembleMember, options: EngineOptions, stems: tuple[str, ...]) -> EngineOptions:
    return attrs.evolve(options, stems=stems, overlap=options.overlap if _has_free_overlap(member) else None)


def _has_free_overlap(member: EnsembleMember) -> bool:
    return member.spec.segmentation.window == "triangular"


def _check_overlap(options: EngineOptions, members: list[EnsembleMember]) -> None:
    if options.overlap is not None and not any(map(_has_free_overlap, members)):
        names = " and ".join(member.spec.name for member in members)
        raise InvalidOptions(
            f"the overlaps of {names} are fixed by their STFTs", option="overlap", value=options.overlap
        )
