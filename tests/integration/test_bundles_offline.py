"""A machine without a network: bundle, copy, import, separate, with every socket blocked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.tiny_demucs import one_thread, save_network

import isomix
from isomix import models

__all__ = ["one_thread"]

AIR_GAPPED = """
import json, socket, sys

def refuse(*arguments, **_):
    raise AssertionError(f"the network was touched: {arguments}")

class NoSocket(socket.socket):
    def __init__(self, *arguments, **options):
        refuse(*arguments)

socket.socket = NoSocket
socket.create_connection = socket.getaddrinfo = refuse

import isomix
from isomix import models
from isomix.cli import main

assert main(["models", "import", sys.argv[1]]) == 0
for model in sys.argv[3:]:
    assert {report.status for report in models.verify(model)} == {"ok"}
    separation = isomix.separate(sys.argv[2], model, device="cpu", runtime="torch", precision="float32", output=model)
    print(json.dumps([model, separation.runtime, *separation]))
"""


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    """Return a recording of two seconds."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((2 * 44100, 2))
    soundfile.write(tmp_path / "mixture.wav", noise, 44100, subtype="FLOAT")
    return tmp_path / "mixture.wav"


def separate_there(bundle: Path, mixture: Path, *names: str) -> tuple[Path, list[list[Any]]]:
    """Copy a bundle and a recording to another machine, as far as a process can be one; import and separate there."""
    there = bundle.parent / "there"
    there.mkdir()
    copies = [shutil.copy(path, there) for path in (bundle, mixture)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ISOMIX", "HF_", "TORCH"))}
    environment |= {"HOME": str(there), "XDG_CACHE_HOME": str(there / "cache"), "ISOMIX_OFFLINE": "1"}
    command = [sys.executable, "-c", AIR_GAPPED, *copies, *names]
    done = subprocess.run(command, cwd=there, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return there, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def assert_same(there: Path, model: str, separation: isomix.Separation) -> None:
    for stem in separation:
        audio, _ = soundfile.read(there / model / f"{stem}.wav", always_2d=True, dtype="float32")
        np.testing.assert_allclose(audio.T, separation[stem].array, atol=1e-4)  # 16-bit files


def test_spleeter_separates_on_a_machine_without_a_network(
    spleeter_weights: Path, mixture: Path, tmp_path: Path
) -> None:
    """The real 2stems weights, bundled and imported, give two models the stems they give here."""
    names = ["spleeter:2stems", "spleeter+hpss"]
    bundle = models.bundle(names, tmp_path / "models.zip")
    assert [file.name for file in bundle.files] == [
        "spleeter-2stems/manifest.json",
        "spleeter-2stems/model.safetensors",
    ]
    there, told = separate_there(tmp_path / "models.zip", mixture, *names)
    assert [model for model, *_ in told] == names
    for model in names:
        assert_same(there, model, isomix.separate(mixture, model, device="cpu", runtime="torch", precision="float32"))


def test_demucs_separates_on_a_machine_without_a_network(mixture: Path, tmp_path: Path) -> None:
    """A network in htdemucs' place, brought from a folder and then by a bundle, gives the stems it gives here."""
    brought, store = tmp_path / "brought", tmp_path / "store"
    brought.mkdir()
    save_network(brought, "955717e8", "htdemucs", samplerate=44100)
    models.import_weights("htdemucs", brought, weights_dir=store)
    models.bundle(["htdemucs"], tmp_path / "models.zip", weights_dir=store)
    there, _ = separate_there(tmp_path / "models.zip", mixture, "htdemucs")
    here = isomix.separate(
        mixture, "htdemucs", weights_dir=store, offline=True, device="cpu", runtime="torch", precision="float32"
    )
    assert_same(there, "htdemucs", here)


def test_a_pulled_checkpoint_verifies_and_a_flipped_byte_in_it_does_not(spleeter_weights: Path, tmp_path: Path) -> None:
    """The real weights verify; in a copy with one other byte the file is named, and not bundled."""
    assert {report.status for report in models.verify("spleeter:2stems")} == {"ok"}
    shutil.copytree(spleeter_weights.parent, tmp_path / "spleeter-2stems")
    with (tmp_path / "spleeter-2stems" / spleeter_weights.name).open("r+b") as file:
        file.seek(40_000_000)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    reports = models.verify("spleeter:2stems", weights_dir=tmp_path)
    assert {report.name: report.status for report in reports} == {
        "spleeter-2stems/manifest.json": "ok",
        "spleeter-2stems/model.safetensors": "damaged",
    }
