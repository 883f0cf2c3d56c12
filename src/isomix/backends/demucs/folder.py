"""How Demucs names the files of its networks."""

from __future__ import annotations

from pathlib import Path


def find_networks(folder: Path) -> dict[str, list[Path]]:
    """Return the files of networks in a folder, by signature.

    Parameters
    ----------
    folder : Path
        A folder, a file, or nothing.
    """
    found: dict[str, list[Path]] = {}
    for path in [folder] if folder.is_file() else sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix in (".th", ".safetensors"):
            signature = path.stem.rpartition("-")[0] if path.suffix == ".th" and "-" in path.stem else path.stem
            found.setdefault(signature, []).append(path)
    return found
