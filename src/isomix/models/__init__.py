"""The models on this machine: what is known of them, where their weights are, how they get there and away.

`isomix models` offers the same on the command line. Weights live in one folder: ``models.get_weights_dir()``.

Examples
--------
>>> from isomix import models
>>> models.get_info("hpss").commercial_use
'yes'
"""

from isomix.models.archive import Bundle
from isomix.models.bundling import bundle
from isomix.models.catalog import ModelInfo, get_info
from isomix.models.importing import import_bundle
from isomix.models.pulling import is_here, pull
from isomix.models.removing import Removal, remove
from isomix.models.taking import import_weights
from isomix.models.verifying import FileReport, verify
from isomix.plugins import list_models
from isomix.settings import get_weights_dir

__all__ = [
    "Bundle",
    "FileReport",
    "ModelInfo",
    "Removal",
    "bundle",
    "get_info",
    "get_weights_dir",
    "import_bundle",
    "import_weights",
    "is_here",
    "list_models",
    "pull",
    "remove",
    "verify",
]
