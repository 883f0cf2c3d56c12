"""Entries of a weights folder that are small enough to be damaged at every byte."""

from __future__ import annotations

import json
from pathlib import Path

from isomix.models.manifest import Manifest, describe_file, write_digest
from isomix.plugins import installed


def make_safetensors(values: bytes) -> bytes:
    """Return a file with one tensor of bytes."""
    entry = {"a": {"dtype": "U8", "shape": [len(values)], "data_offsets": [0, len(values)]}}
    header = json.dumps(entry).encode()
    return len(header).to_bytes(8, "little") + header + values


def store_spleeter(folder: Path, stems: str = "2stems", values: bytes = b"two U-Nets") -> Path:
    """Store something in the place of a Spleeter checkpoint, as a pull does, and return its folder."""
    weights = installed().get_spec(f"spleeter:{stems}").weights
    assert weights is not None
    entry = folder / weights.name
    entry.mkdir(parents=True)
    (entry / "model.safetensors").write_bytes(make_safetensors(values))
    Manifest.of(weights, "a test", weights.files, [describe_file(entry / "model.safetensors")]).write(entry)
    return entry


def store_demucs(folder: Path, signature: str = "955717e8", values: bytes = b"a network") -> Path:
    """Store something in the place of a Demucs network, as a pull from the hub does, and return its file."""
    path = folder / "demucs" / f"{signature}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_safetensors(values))
    write_digest(path, describe_file(path).sha256 or "")
    return path
