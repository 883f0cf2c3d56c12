"""Tiny deterministic engines without weights, for tests of pipes and of applications.

Some are given as specs (`pass_through_spec`). Others, for several processes, have names that any process understands
where isomix is installed; no list shows them:

``testing:tiny``
    Vocals, drums, bass and other are 1/2, 1/4, 1/8 and 1/8 of the mixture. Segments last a second.
``testing:slow``, ``testing:slow-200ms``
    The same, 100 ms (or as many as the name says) a segment.
``testing:failing``
    The same, but the third segment of a recording raises `MemoryError`.
``testing:killer``
    The same, but the second segment of a recording kills the process, as the kernel does when memory has run out.
``testing:stuck``
    The same, but the second segment of a recording never ends, and no cancel reaches it.
``testing:loud``
    Vocals are twice the mixture, the others are -1/2, -1/4 and -1/4 of it: files need a shared gain.

Examples
--------
>>> import isomix
>>> separation = isomix.separate((np.ones((2, 1000), np.float32), 44100), "testing:tiny")
>>> {name: float(stem.array[0, 0]) for name, stem in separation.items()}
{'vocals': 0.5, 'drums': 0.25, 'bass': 0.125, 'other': 0.125}
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from typing import ClassVar, Literal

import attrs
import numpy as np

from isomix.audio.blocks import Audio, StemStream
from isomix.audio.overlap import Segmentation
from isomix.engine import EngineSpec, SeparationEngine


class PassThroughEngine(SeparationEngine):
    """Returns the mixture as its first stem and silence as every other: stems sum to the mixture bit for bit."""

    def _separate(self, mixture: Audio) -> Audio:
        stems = np.zeros((len(mixture), len(self.stems), *mixture.shape[1:]), np.float32)
        if self.spec.stems[0] in self.stems:
            stems[:, 0] = mixture
        return stems


class FailingEngine(PassThroughEngine):
    """Passes the first segments through and then raises, as a network does that runs out of memory."""

    PASSED_SEGMENTS = 2

    def _separate(self, mixture: Audio) -> Audio:
        self._passed = getattr(self, "_passed", 0) + len(mixture)
        if self._passed > self.PASSED_SEGMENTS:
            raise MemoryError("out of memory, as it was asked for")
        return super()._separate(mixture)


def pass_through_spec(
    *,
    length: int = 4096,
    hop: int = 3072,
    sample_rate: int = 44100,
    channels: int = 2,
    stems: tuple[str, ...] = ("vocals", "accompaniment"),
    normalization: Literal["none", "track"] = "none",
) -> EngineSpec:
    """Return the spec of a `PassThroughEngine`; give it to `isomix.separate` as the model.

    Parameters
    ----------
    length, hop : int
        Segment and hop, in samples.
    sample_rate : int
        In Hz.
    channels : {1, 2}
        Of the engine.
    stems : tuple of str
        The first is the mixture, the others are silent.
    normalization : {"none", "track"}
        As in `EngineSpec`; with ``"track"`` the mixture comes back to rounding, not bit for bit.

    Examples
    --------
    >>> import isomix
    >>> noise = np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)
    >>> separation = isomix.separate((noise, 44100), pass_through_spec())
    >>> bool((separation["vocals"].array == noise).all())
    True
    """
    return EngineSpec(
        name="pass-through",
        stems=stems,
        factory="isomix.testing.engines:PassThroughEngine",
        segmentation=Segmentation(length=length, hop=hop),
        sample_rate=sample_rate,
        channels=1 if channels == 1 else 2,
        normalization=normalization,
        licence="MIT",
        commercial_use="yes",
    )


def failing_spec() -> EngineSpec:
    """Return the spec of a `FailingEngine`, to see what an application does when a separation fails half-way.

    Examples
    --------
    >>> import isomix
    >>> isomix.separate((np.zeros((2, 44100), np.float32), 44100), failing_spec())
    Traceback (most recent call last):
    isomix.errors.SeparationFailed: failing failed: MemoryError: out of memory, as it was asked for
    """
    return attrs.evolve(pass_through_spec(), name="failing", factory=f"{__name__}:FailingEngine")


class TinyEngine(SeparationEngine):
    """Gives fixed fractions of the mixture, powers of two.

    Of a mixture that was an integer of 16 bits, the stems sum to it bit for bit.
    """

    FRACTIONS: ClassVar[tuple[float, ...]] = (0.5, 0.25, 0.125, 0.125)
    _segments = 0

    def open_stream(self, before_segment: Callable[[], None] = lambda: None) -> StemStream:
        """Begin a recording, and to count its segments."""
        self._segments = 0
        return super().open_stream(before_segment)

    def _separate(self, mixture: Audio) -> Audio:
        for _ in mixture:
            self._segments += 1
            self._meet_segment()
        fractions = [self.FRACTIONS[self.spec.stems.index(stem)] for stem in self.stems]
        return mixture[:, None] * np.array(fractions, np.float32)[:, None, None]

    def _meet_segment(self) -> None:
        """Do what the engine is there for, at the segment whose number in the recording was just counted."""


class LoudEngine(TinyEngine):
    """Gives stems beyond full scale that sum to the mixture."""

    FRACTIONS: ClassVar[tuple[float, ...]] = (2.0, -0.5, -0.25, -0.25)


class SlowEngine(TinyEngine):
    """Takes its time over each segment: what its name says, or 100 ms."""

    def _meet_segment(self) -> None:
        named = re.search(r"-(\d+)ms$", self.spec.name)
        time.sleep(int(named[1]) / 1000 if named else 0.1)


class ExhaustedEngine(TinyEngine):
    """Raises at the third segment, as a network does that runs out of memory."""

    def _meet_segment(self) -> None:
        if self._segments > 2:
            raise MemoryError("out of memory, as it was asked for")


class KillerEngine(TinyEngine):
    """Kills its own process at the second segment."""

    def _meet_segment(self) -> None:
        if self._segments > 1:
            os.kill(os.getpid(), signal.SIGKILL)


class StuckEngine(TinyEngine):
    """Never comes back from the second segment."""

    def _meet_segment(self) -> None:
        if self._segments > 1:
            threading.Event().wait()


_NAMED: dict[str, type[TinyEngine]] = {
    "tiny": TinyEngine,
    "slow": SlowEngine,
    "failing": ExhaustedEngine,
    "killer": KillerEngine,
    "stuck": StuckEngine,
    "loud": LoudEngine,
}


def find_testing_spec(name: str) -> EngineSpec | None:
    """Return the spec of a name that starts with ``testing:``; None if there is no such engine.

    Parameters
    ----------
    name : str
        See the module.

    Examples
    --------
    >>> find_testing_spec("testing:slow-50ms").factory
    'isomix.testing.engines:SlowEngine'
    >>> find_testing_spec("hpss")
    """
    named = re.fullmatch(r"testing:(?:(\w+)|(slow)-\d+ms)", name)
    engine = _NAMED.get(named[1] or named[2]) if named else None
    if engine is None:
        return None
    return EngineSpec(
        name=name,
        stems=("vocals", "drums", "bass", "other"),
        factory=f"{__name__}:{engine.__name__}",
        segmentation=Segmentation(length=44100, hop=44100),
        licence="MIT",
        commercial_use="yes",
    )
