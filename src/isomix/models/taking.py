"""Take a user's own weights in under a model's name: they are kept if the model opens with them, and only then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from isomix.domain.options import EngineOptions
from isomix.domain.weights import StoredFile
from isomix.engine import EngineSpec
from isomix.errors import StorageError, UnknownModel, WeightsUnavailable
from isomix.models.importing import move
from isomix.models.inventory import list_files
from isomix.models.manifest import describe_file, get_digest_path
from isomix.models.store import WeightsStore
from isomix.plugins import installed, open_engine


def import_weights(model: str, source: str | Path, *, weights_dir: str | Path | None = None) -> None:
    """Take a model's weights from a file, folder or archive of the user's, and keep them.

    They are put into a folder of their own first, and the model is opened from there by its name alone. What it was
    made of before is replaced.

    Parameters
    ----------
    model : str
        Whose weights they are.
    source : path
        Where they are.
    weights_dir : path, optional
        The weights folder; None for the environment's or the platform's.

    Raises
    ------
    WeightsUnavailable
        If they are not there, are others, or would not be found by the model's name; nothing is kept then.
    UnknownModel
        If there is no such model, in the source either.
    StorageError
        If the weights folder cannot be written.
    """
    try:
        _import(model, source, WeightsStore(weights_dir))
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{source} cannot be imported: {error}", path=str(source)) from error


def _import(model: str, source: str | Path, store: WeightsStore) -> None:
    with store.open_temporary() as folder:
        # Nothing is to be measured for this machine: what is open here closes at once.
        options = EngineOptions(weights_dir=folder, offline=True, device="cpu", precision="float32")
        taking = attrs.evolve(options, repo=source, keep=True)
        open_engine(installed().get_spec(model, taking), taking).close()
        try:
            spec, files = _open_alone(model, options, folder)
        except (UnknownModel, WeightsUnavailable) as error:
            raise WeightsUnavailable(
                f"what {source} holds was not imported, since {model!r} would not open with it: "
                + error.message.replace(str(folder), str(store.folder)),
                hint="name it each time (repo=, --repo), or take a name that leads to it: a released model's if the "
                "files have its signatures and stems, hf://NAMESPACE/NAME for any other network of Demucs' kinds",
                model=model,
            ) from error
        _remove_former(spec, store)
        _install(files, folder, store)


def _open_alone(model: str, options: EngineOptions, folder: Path) -> tuple[EngineSpec, list[StoredFile]]:
    """Open a model by its name, and return the files that it consists of, all of them from a folder."""
    spec = installed().get_spec(model, options)
    open_engine(spec, options).close()
    files = list_files(spec, options)
    if elsewhere := [file.path for file in files if file.path and folder not in file.path.parents]:
        raise WeightsUnavailable(f"it consists of {elsewhere[0]}", model=model)
    return spec, files


def _install(files: Sequence[StoredFile], folder: Path, store: WeightsStore) -> None:
    for entry in {file.entry for file in files if file.entry}:
        store.publish(entry, folder / entry, folder)
    for file in reversed(files):  # a definition comes first in the list, and last to its place
        if file.path and not file.entry:
            move(file.path, store.folder / file.name, describe_file(file.path).sha256 or "")


def _remove_former(spec: EngineSpec, store: WeightsStore) -> None:
    """Delete the files that the model consisted of, which it might find first; entries are replaced as a whole."""
    options = EngineOptions(weights_dir=store.folder, offline=True)
    while former := [
        file.path
        for file in list_files(spec, options)
        if file.path and not file.entry and store.folder in file.path.parents
    ]:
        for path in former:
            path.unlink()
            get_digest_path(path).unlink(missing_ok=True)
