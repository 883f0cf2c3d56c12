"""Spleeter without TensorFlow: the official checkpoints, in torch, with Spleeter's exact conventions."""

from __future__ import annotations

from isomix.backends.spleeter.catalog import list_specs
from isomix.engine import EngineSpec
from isomix.plugins import hookimpl


@hookimpl
def isomix_engines() -> list[EngineSpec]:
    """Offer 2, 4 and 5 stems, each up to 11 kHz or up to 16 kHz."""
    return list_specs()
