"""Two engines in a row as one engine: what the first calls a stem is the second's mixture."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from isomix.audio.blocks import Audio, StemStream
from isomix.backends.cascade import CascadeSpec
from isomix.backends.cascade.parts import Parts, open_parts
from isomix.backends.cascade.stream import ChainedStream, ReorderedStream, Route
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine
from isomix.errors import PluginError
from isomix.plugins import Registry, installed


class CascadeEngine(SeparationEngine):
    """A first engine, one stem of which a second separates further.

    Parameters
    ----------
    spec : CascadeSpec
        Names the parts.
    options : EngineOptions
        What the caller asked for; shifts, seed and batch size are the parts' business.
    parts : Parts
        The opened engines; the cascade closes them.
    """

    def __init__(self, spec: CascadeSpec, options: EngineOptions, parts: Parts) -> None:
        super().__init__(spec, options)
        self._parts = parts
        self._fed = spec.stem
        self.batch_size = parts.first.batch_size

    # Properties, because a part may move to another device while it works.

    @property
    def device(self) -> str:  # type: ignore[override]
        """The devices of the parts, each once: ``"cuda:0 + cpu"``."""
        return _joined(part.device for part in self._parts.opened)

    @property
    def precision(self) -> str:  # type: ignore[override]
        """The precisions of the parts, each once."""
        return _joined(part.precision for part in self._parts.opened)

    @property
    def runtime(self) -> str:  # type: ignore[override]
        """The runtimes of the parts, each once."""
        return _joined(part.runtime for part in self._parts.opened)

    def open_stream(self, before_segment: Callable[[], None] = lambda: None) -> StemStream:
        """Begin a recording.

        Parameters
        ----------
        before_segment : callable
            Called before each network call of either part; what it raises ends the separation.

        Returns
        -------
        StemStream
            Turns mixture blocks into stem blocks that both parts have settled.
        """
        first, second = self._parts.first, self._parts.second
        stream = first.open_stream(before_segment)
        if second is None:
            return ReorderedStream(stream, [first.stems.index(stem) for stem in self.stems])
        route = Route(
            fed=first.stems.index(self._fed),
            kept=self._places((index, stem) for index, stem in enumerate(first.stems) if stem != self._fed),
            refined=self._places(enumerate(second.stems)),
        )
        return ChainedStream(stream, second.open_stream(before_segment), route, self.spec.channels)

    def close(self) -> None:
        """Close both parts; closing twice is harmless."""
        for part in self._parts.opened:
            part.close()

    def _separate(self, mixture: Audio) -> Audio:
        """Take each segment as a recording of its own: the parts' segments have other lengths."""
        return np.stack([self._separate_whole(segment) for segment in mixture])

    def _separate_whole(self, mixture: Audio) -> Audio:
        stream = self.open_stream()
        nothing = np.zeros((len(self.stems), self.spec.channels, 0), np.float32)
        return np.concatenate([nothing, *stream.push(mixture), *stream.finish()], axis=-1)

    def _places(self, stems: Iterable[tuple[int, str]]) -> list[tuple[int, int]]:
        return [(source, self.stems.index(stem)) for source, stem in stems]


def _joined(descriptions: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(descriptions))


def open_cascade(spec: EngineSpec, options: EngineOptions, registry: Registry | None = None) -> CascadeEngine:
    """Open a cascade and its parts: the factory that every `CascadeSpec` names.

    Parameters
    ----------
    spec : CascadeSpec
        Which one.
    options : EngineOptions
        Passed down to the parts, each of which is asked only for the stems that are needed of it.
    registry : Registry, optional
        Where the parts are found; among the installed plugins if None.

    Returns
    -------
    CascadeEngine

    Raises
    ------
    PluginError
        If the spec is not a `CascadeSpec`, or the parts do not fit it.
    InvalidOptions
        If an option suits neither part.
    """
    if not isinstance(spec, CascadeSpec):
        raise PluginError(f"{spec.name} is not a CascadeSpec", hint="declare it as one", plugin=spec.name)
    return CascadeEngine(spec, options, open_parts(spec, options, registry or installed()))
