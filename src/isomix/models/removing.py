"""Give back the space that models take."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from glob import escape
from pathlib import Path

import attrs

from isomix.domain.options import EngineOptions
from isomix.domain.weights import StoredFile
from isomix.engine import EngineSpec
from isomix.errors import EngineUnavailable, StorageError, WeightsUnavailable
from isomix.models.inventory import list_files
from isomix.models.manifest import get_digest_path
from isomix.models.store import WeightsStore
from isomix.plugins import installed

_COMPILED = "openvino"
"""Folder of what runtimes have made of weights, under names that begin with the weights'."""


@attrs.frozen(kw_only=True)
class Removal:
    """What `remove` did.

    Parameters
    ----------
    freed_bytes : int
        Space that was given back.
    removed : tuple of str
        What was deleted, by path in the weights folder.
    kept : mapping of str to tuple of str
        What was left because other models need it, with their names.
    elsewhere : tuple of Path
        Files in caches of other programs, which isomix reads and never writes.
    """

    freed_bytes: int
    removed: tuple[str, ...]
    kept: Mapping[str, tuple[str, ...]]
    elsewhere: tuple[Path, ...]


def remove(*models: str, weights_dir: str | Path | None = None, shared: bool = False) -> Removal:
    """Delete models' files from the weights folder, but for those that other models share.

    Parameters
    ----------
    *models : str
        Names of models; files that only these share are deleted.
    weights_dir : path, optional
        The weights folder; None for the environment's or the platform's.
    shared : bool
        Delete also what other models share.

    Returns
    -------
    Removal

    Raises
    ------
    UnknownModel
        If there is none of a name.
    StorageError
        If a file cannot be deleted.

    Examples
    --------
    >>> remove("hpss").freed_bytes
    0
    """
    options = EngineOptions(weights_dir=weights_dir, offline=True)
    store = WeightsStore(weights_dir)
    specs = [installed().get_spec(name, options) for name in models]
    files = {file.name: file for spec in specs for file in list_files(spec, options) if not file.is_missing}
    ours = [file for file in files.values() if _is_inside(file, store)]
    users = {} if shared else _find_users({file.unit for file in ours}, models, options)
    units = sorted({file.unit for file in ours} - set(users))
    try:
        freed_bytes = sum(_delete(store, unit) for unit in units)
    except OSError as error:
        raise StorageError(f"{error.filename} cannot be deleted: {error}", path=str(error.filename)) from error
    return Removal(
        freed_bytes=freed_bytes,
        removed=tuple(units),
        kept=users,
        elsewhere=tuple(file.path for file in files.values() if file not in ours and file.path),
    )


def _is_inside(file: StoredFile, store: WeightsStore) -> bool:
    return file.path is not None and file.path == store.folder / file.name


def _find_users(units: set[str], models: Collection[str], options: EngineOptions) -> dict[str, tuple[str, ...]]:
    """Return what other listed models need of these, with their names."""
    users: dict[str, tuple[str, ...]] = {}
    for spec in installed().list_specs():
        if spec.name not in models:
            for unit in sorted(units & _list_units(spec, options)):
                users[unit] = (*users.get(unit, ()), spec.name)
    return users


def _list_units(spec: EngineSpec, options: EngineOptions) -> set[str]:
    try:
        return {file.unit for file in list_files(spec, options)}
    except (EngineUnavailable, WeightsUnavailable):
        return set()  # what cannot be opened here needs nothing here


def _delete(store: WeightsStore, unit: str) -> int:
    """Delete a file or an entry and what was made of it, and return how many bytes that were."""
    path = store.folder / unit
    folder, slash, _ = unit.partition("/")
    prefix = f"{folder}-{Path(unit).stem}" if slash else unit
    gone = [path, get_digest_path(path), *(store.folder / _COMPILED).glob(f"{escape(prefix)}-*")]
    freed_bytes = sum(map(_measure, gone))
    for place in gone:
        if place.is_dir() and not place.is_symlink():
            with store.open_temporary() as trash:  # at once, so that nobody finds half of it
                place.rename(trash / "entry")
                shutil.rmtree(trash / "entry")
        else:
            place.unlink(missing_ok=True)
    return freed_bytes


def _measure(path: Path) -> int:
    if path.is_dir():
        return sum(_measure(inside) for inside in path.iterdir())
    return path.stat().st_size if path.is_file() else 0
