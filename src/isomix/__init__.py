"""isomix separates music into stems: any input, any length, flat memory, pluggable engines.

Names are looked up when they are first used, so that importing the package costs little.

Examples
--------
>>> import isomix
>>> "hpss" in [model.name for model in isomix.list_models()]
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isomix._version import __version__

if TYPE_CHECKING:
    from isomix.audio.overlap import Segmentation
    from isomix.audio.source import read
    from isomix.backends.ensemble import Ensemble
    from isomix.domain.limits import FREE, PRO, Limits
    from isomix.domain.mix import Mix
    from isomix.domain.options import EngineOptions
    from isomix.domain.progress import CancelToken, Progress
    from isomix.domain.weights import Weights
    from isomix.engine import EngineSpec, SeparationEngine
    from isomix.errors import IsomixError
    from isomix.pipe import StemBlock
    from isomix.planning.planner import plan
    from isomix.plugins import hookimpl, list_models
    from isomix.result import Separation, StemAudio
    from isomix.separation import DEFAULT_MODEL, Separator, separate
    from isomix.studio import Studio

__all__ = [
    "DEFAULT_MODEL",
    "FREE",
    "PRO",
    "CancelToken",
    "EngineOptions",
    "EngineSpec",
    "Ensemble",
    "IsomixError",
    "Limits",
    "Mix",
    "Progress",
    "Segmentation",
    "Separation",
    "SeparationEngine",
    "Separator",
    "StemAudio",
    "StemBlock",
    "Studio",
    "Weights",
    "__version__",
    "hookimpl",
    "list_models",
    "plan",
    "read",
    "separate",
]

_HOMES = {
    "DEFAULT_MODEL": "isomix.separation",
    "FREE": "isomix.domain.limits",
    "PRO": "isomix.domain.limits",
    "CancelToken": "isomix.domain.progress",
    "EngineOptions": "isomix.domain.options",
    "EngineSpec": "isomix.engine",
    "Ensemble": "isomix.backends.ensemble",
    "IsomixError": "isomix.errors",
    "Limits": "isomix.domain.limits",
    "Mix": "isomix.domain.mix",
    "Progress": "isomix.domain.progress",
    "Segmentation": "isomix.audio.overlap",
    "Separation": "isomix.result",
    "SeparationEngine": "isomix.engine",
    "Separator": "isomix.separation",
    "StemAudio": "isomix.result",
    "StemBlock": "isomix.pipe",
    "Studio": "isomix.studio",
    "Weights": "isomix.domain.weights",
    "hookimpl": "isomix.plugins",
    "list_models": "isomix.plugins",
    "plan": "isomix.planning.planner",
    "read": "isomix.audio.source",
    "separate": "isomix.separation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'isomix' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
