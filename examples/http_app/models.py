"""Which models can be used here, and which one is taken where nobody chooses."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from isomix import EngineSpec, IsomixError, list_models
from isomix.backends.demucs.folder import find_networks
from isomix.domain.options import EngineOptions
from isomix.domain.weights import PackageSource
from isomix.models.store import WeightsStore
from isomix.plugins import installed
from isomix.settings import get_weights_dir, offline_requested

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
    if parts := getattr(spec, "parts", ()):
        return all(is_available(get_spec(part)) for part in parts)
    if spec.weights is None:
        return spec.extra != "demucs" or _has_networks(spec.name)
    in_index = any(isinstance(source, PackageSource) for source in spec.weights.sources)
    return WeightsStore().path_of(spec.weights).is_dir() or (in_index and not offline_requested())


def _has_networks(name: str) -> bool:
    """Tell whether the networks of one of Demucs' models are in a folder where isomix looks for them."""
    return bool(signatures := _list_signatures(name)) and signatures <= set(_find_all_networks())


@cache
def _list_signatures(name: str) -> frozenset[str]:
    from isomix.backends.demucs.bag import parse_bag

    package = find_spec("demucs")
    for folder in (package and package.submodule_search_locations) or ():
        definition = Path(folder, "remote", f"{name}.yaml")
        if definition.is_file():
            return frozenset(parse_bag(name, definition.read_text(encoding="utf-8")).signatures)
    return frozenset()


def _find_all_networks() -> list[str]:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    hub = Path(os.environ.get("HF_HOME") or caches / "huggingface", "hub")
    torch_home = Path(os.environ.get("TORCH_HOME") or caches / "torch")
    folders = [get_weights_dir() / "demucs", torch_home / "hub" / "checkpoints", *hub.glob("models--*/snapshots/*")]
    return [signature for folder in folders for signature in find_networks(folder)]
