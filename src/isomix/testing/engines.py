"""Tiny deterministic engines without weights, for tests of pipes and of applications."""

from __future__ import annotations

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


def pass_through_spec(
    *,
    length: int = 4096,
    hop: int = 3072,
    sample_rate: int = 44100,
    channels: int = 2,
    stems: tuple[str, ...] = ("vocals", "accompaniment"),
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
        licence="MIT",
        commercial_use="yes",
    )
