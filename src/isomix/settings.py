"""What the environment says; the only module that reads it."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

WEIGHTS_DIR = "ISOMIX_WEIGHTS_DIR"
OFFLINE = ("ISOMIX_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = ("1", "on", "true", "yes")


def get_weights_dir() -> Path:
    """Return the folder of downloaded weights: ISOMIX_WEIGHTS_DIR, else one in the platform's cache.

    Returns
    -------
    Path
        It need not exist.
    """
    named = os.environ.get(WEIGHTS_DIR)
    return (
        Path(named).expanduser() if named else Path(platformdirs.user_cache_path("isomix", appauthor=False), "weights")
    )


def offline_requested() -> bool:
    """Tell whether the environment forbids downloads: ISOMIX_OFFLINE, HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE.

    Returns
    -------
    bool
    """
    return any(os.environ.get(name, "").strip().lower() in _TRUE for name in OFFLINE)
