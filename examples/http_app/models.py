"""Which models can be used here, and which one is taken where nobody chooses."""

from __future__ import annotations

from importlib.util import find_spec

from isomix import EngineSpec, IsomixError, list_models
from isomix.domain.options import EngineOptions
from isomix.domain.weights import PackageSource
from isomix.models import is_here
from isomix.plugins import installed
from isomix.settings import offline_requested

PREFERENCE = ("htdemucs", "spleeter+hpss", "hpss")
_PACKAGES = {"demucs": "demucs", "spleeter": "torch"}


def choose_model() -> str:
    """Return the best model that can be used here: what `ISOMIX_MODEL` says is for the settings to know."""
    return next(name for name in PREFERENCE if is_available(get_spec(name)))


def get_spec(name: str) -> EngineSpec:
    """Return what is known of a model, listed or not."""
    return installed().get_spec(name, EngineOptions())


def list_with(default: str) -> list[EngineSpec]:
    """Return the models to choose from, the default among them though it be in no list."""
    listed = list_models()
    if any(spec.name == default for spec in listed):
        return listed
    try:
        return [get_spec(default), *listed]
    except IsomixError:  # an upload will tell
        return listed


def is_available(spec: EngineSpec) -> bool:
    """Tell whether a model's packages are installed and its weights here, or surely within reach; nothing is loaded."""
    if spec.extra in _PACKAGES and find_spec(_PACKAGES[spec.extra]) is None:
        return False
    if is_here(spec.name):
        return True
    parts = [get_spec(name) for name in spec.parts] or [spec]
    sources = [source for part in parts if part.weights for source in part.weights.sources]
    return not offline_requested() and any(isinstance(source, PackageSource) for source in sources)
