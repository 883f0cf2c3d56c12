"""Tiny deterministic engines without weights, for tests of pipes and of applications."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

from isomix.audio.blocks import Audio
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
