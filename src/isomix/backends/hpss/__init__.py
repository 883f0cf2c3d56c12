"""The model ``hpss``: drums, bass and the rest by median filters, without weights, torch or downloads."""

from __future__ import annotations

from isomix.audio.overlap import Segmentation
from isomix.engine import EngineSpec
from isomix.plugins import hookimpl

SEGMENT_SAMPLES = 2**18
"""5.9 s: ten times the longest kernel, and 8 MB of spectrum a segment."""

HOP_SAMPLES = SEGMENT_SAMPLES * 7 // 8
"""Neighbours share 0.74 s, so that in the middle of a join both still see a whole kernel (0.6 s). A whole number of
STFT hops, so that neighbours see the same frames."""

SPEC = EngineSpec(
    name="hpss",
    stems=("drums", "bass", "other"),
    factory="isomix.backends.hpss.engine:open_hpss",
    segmentation=Segmentation(length=SEGMENT_SAMPLES, hop=HOP_SAMPLES),
    licence="MIT",
    commercial_use="yes",
    download_bytes=0,
    cpu_cost=0.4,
    summary="Drums, bass and the rest by median filters: no weights, fast, rough; best without vocals.",
)


@hookimpl
def isomix_engines() -> list[EngineSpec]:
    """Return the one model."""
    return [SPEC]
