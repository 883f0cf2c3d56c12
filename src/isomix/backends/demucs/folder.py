"""How Demucs names the files of its networks, and which names it has published."""

from __future__ import annotations

from importlib.util import find_spec
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


def is_published(name: str) -> bool:
    """Tell whether a name is a bag or a signature that Demucs itself lists; false where Demucs is not installed.

    Parameters
    ----------
    name : str
        Of anything.
    """
    package = find_spec("demucs")
    for location in (package and package.submodule_search_locations) or ():
        remote = Path(location, "remote")
        names = {path.stem for path in remote.glob("*.yaml")}
        lists = (path.read_text(encoding="utf-8").splitlines() for path in remote.glob("files.txt"))
        names.update(line.partition("-")[0] for lines in lists for line in lines if line.endswith(".th"))
        if name in names:
            return True
    return False
