"""Importing isomix and listing its models costs little: weight comes with use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = [
    "av",
    "celery",
    "demucs",
    "openvino",
    "redis",
    "safetensors",
    "scipy",
    "soundfile",
    "soxr",
    "sqlalchemy",
    "torch",
]


@pytest.mark.parametrize(
    "code",
    ["import isomix", "import isomix; isomix.list_models()", "import isomix.cli; isomix.cli.main(['models', 'list'])"],
)
def test_nothing_heavy_is_imported(code):
    """Neither the import nor a list of models, from Python or the command, loads a network, decoder or database."""
    code += "\nimport json, sys\nprint()\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert "isomix" in loaded
    assert loaded.isdisjoint(HEAVY)
