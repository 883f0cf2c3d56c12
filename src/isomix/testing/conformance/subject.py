"""The engine that is being tried: opened once, run through the seam, a stream or the whole pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Self, Unpack

import attrs
import numpy as np

from isomix.audio.blocks import Audio
from isomix.audio.source import open_source
from isomix.domain.options import EngineChoices, EngineOptions
from isomix.domain.progress import CancelToken
from isomix.domain.stems import StemPlan
from isomix.engine import EngineSpec, SeparationEngine
from isomix.pipe import Pipe
from isomix.plugins import installed, open_engine
from isomix.settings import offline_requested
from isomix.testing.conformance.rules import Broken
from isomix.testing.conformance.signals import noise, ratio_db

EQUAL_DB = -80.0
"""Two results are one where they differ by less: another order of float32 sums, on another device, costs -110 dB."""

NEARLY_EQUAL_DB = -40.0
"""The same for an engine that computes in half the precision and may do so in two ways."""

BLOCK_SAMPLES = 65536
"""Of a stream where the cut does not matter."""


class Subject:
    """An engine under test. Opens it when it is first needed; close it, or use it in a ``with`` statement.

    Parameters
    ----------
    spec : EngineSpec
        What it says it is.
    sums_db : float, optional
        The claim that its stems sum to the mixture: the null error is at most this, in dB. None makes no claim.
    **choices
        Fields of `isomix.EngineOptions` for opening it, such as ``device`` or ``repo``.
    """

    def __init__(self, spec: EngineSpec, *, sums_db: float | None = None, **choices: Unpack[EngineChoices]) -> None:
        choices["offline"] = choices.get("offline", False) or offline_requested()
        self.spec = spec
        self.sums_db = sums_db
        self.choices = choices
        self.options = EngineOptions(**choices)

    @classmethod
    def named(cls, name: str, *, sums_db: float | None = None, **choices: Unpack[EngineChoices]) -> Self:
        """Find an engine among the installed plugins.

        Parameters
        ----------
        name : str
            As in `isomix.separate`.
        sums_db, **choices
            As for the class.

        Raises
        ------
        UnknownModel, DuplicateEngine
            If no plugin offers it, or two do.
        """
        return cls(installed().get_spec(name, EngineOptions(**choices)), sums_db=sums_db, **choices)

    @cached_property
    def engine(self) -> SeparationEngine:
        """The engine, opened for all its stems."""
        return open_engine(self.spec, self.options)

    @contextmanager
    def open(self, stems: Iterable[str] | None = None) -> Iterator[SeparationEngine]:
        """Open it anew, for some of its stems.

        Parameters
        ----------
        stems : iterable of str, optional
            Its own; all if None.
        """
        engine = open_engine(self.spec, attrs.evolve(self.options, stems=None if stems is None else tuple(stems)))
        try:
            yield engine
        finally:
            engine.close()

    @property
    def length(self) -> int:
        """Samples of a segment."""
        return self.engine.segmentation.length

    def noise(self, segments: float, *, seed: int = 0) -> Audio:
        """Return noise in the engine's own rate and channels.

        Parameters
        ----------
        segments : float
            How long, in segments of the engine.
        seed : int
            Another one is another recording.
        """
        return noise(int(segments * self.length), self.spec.channels, seed=seed)

    @cached_property
    def take(self) -> tuple[Audio, Audio]:
        """A recording over several segments, and its stems."""
        mixture = self.noise(1.7, seed=7)
        return mixture, self.separate(mixture)

    def separate(
        self, mixture: Audio, sample_rate: int | None = None, *, engine: SeparationEngine | None = None
    ) -> Audio:
        """Separate a recording through the whole pipe.

        Parameters
        ----------
        mixture : ndarray of shape (channels, samples), float32
            The recording.
        sample_rate : int, optional
            In Hz; the engine's own if None.
        engine : SeparationEngine, optional
            Another one than the subject's.

        Returns
        -------
        ndarray of shape (stems, channels, samples), float32
        """
        engine = engine or self.engine
        plan = StemPlan.of(self.spec.name, self.spec.stems, engine.stems)
        with open_source((mixture, sample_rate or self.spec.sample_rate)) as source:
            pipe = Pipe(source, engine, plan, lambda _: None, CancelToken())
            blocks = [np.stack([block.stems[name] for name in engine.stems]) for block in pipe.blocks()]
        return np.concatenate([np.zeros((len(engine.stems), pipe.channels, 0), np.float32), *blocks], axis=-1)

    def stream(
        self,
        mixture: Audio,
        block_samples: int = BLOCK_SAMPLES,
        before_segment: Callable[[], None] = lambda: None,
    ) -> Audio:
        """Push a recording block by block through a stream of the engine's, without the pipe around it.

        Parameters
        ----------
        mixture : ndarray of shape (channels, samples), float32
            In the engine's rate and channels.
        block_samples : int
            Of each push.
        before_segment : callable
            As in `SeparationEngine.open_stream`.

        Returns
        -------
        ndarray of shape (stems, channels, samples), float32
            As many samples as the engine gave.
        """
        stream = self.engine.open_stream(before_segment)
        settled = []
        for start in range(0, mixture.shape[-1], block_samples):
            settled += [*stream.push(mixture[:, start : start + block_samples])]
        return self.join([*settled, *stream.finish()])

    def join(self, settled: list[Audio]) -> Audio:
        """Join what a stream gave, and see that it is what streams give.

        Raises
        ------
        Broken
            If a block has another shape or type, or values that are not finite.
        """
        shape = (len(self.engine.stems), self.spec.channels)
        for block in settled:
            if not isinstance(block, np.ndarray) or block.dtype != np.float32 or block.shape[:-1] != shape:
                given = f"{block.dtype} {block.shape}" if isinstance(block, np.ndarray) else type(block).__name__
                raise Broken(f"its stream gave {given}, not float32 {(*shape, 'samples')}")
            if not np.isfinite(block).all():
                raise Broken("its stream gave values that are not finite")
        return np.concatenate([np.zeros((*shape, 0), np.float32), *settled], axis=-1)

    def require_equal(self, what: str, one: Audio, other: Audio, mixture: Audio) -> None:
        """Raise unless two results are one, measured against their mixture.

        Raises
        ------
        Broken
            If they differ in shape or by more than `EQUAL_DB`.
        """
        if one.shape != other.shape:
            raise Broken(f"{what} has the shape {one.shape}, not {other.shape}")
        allowed_db = EQUAL_DB if {*self.engine.precision.split(" + ")} == {"float32"} else NEARLY_EQUAL_DB
        difference_db = ratio_db(one - other, mixture)
        if difference_db > allowed_db:
            raise Broken(f"{what} differs by {difference_db:.1f} dB of the mixture (allowed: {allowed_db:.0f} dB)")

    def close(self) -> None:
        """Close the engine, if it was opened."""
        if "engine" in self.__dict__:
            self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
