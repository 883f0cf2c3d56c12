"""Which files a model's weights are on this machine, whoever keeps them."""

from __future__ import annotations

from importlib import import_module

import attrs

from isomix.domain.options import EngineOptions
from isomix.domain.weights import StoredFile, Weights
from isomix.engine import EngineSpec
from isomix.errors import EngineUnavailable, IntegrityError
from isomix.models.manifest import MANIFEST_FILE, Manifest, read_digest
from isomix.models.store import WeightsStore
from isomix.plugins import installed


def list_files(spec: EngineSpec, options: EngineOptions) -> list[StoredFile]:
    """List the files that a model needs, those of its parts among them, each once.

    Parameters
    ----------
    spec : EngineSpec
        Which model.
    options : EngineOptions
        ``weights_dir`` counts; nothing is fetched.

    Returns
    -------
    list of StoredFile
        Empty for a model without weights.

    Raises
    ------
    EngineUnavailable
        If a package is missing that knows where they are.
    """
    files = _list_own(spec, options)
    for part in spec.parts:
        files += list_files(installed().get_spec(part, options), options)
    return list({file.name: file for file in files}.values())


def _list_own(spec: EngineSpec, options: EngineOptions) -> list[StoredFile]:
    if not spec.stored:
        return _list_entry(spec.weights, WeightsStore(options.weights_dir)) if spec.weights else []
    module, _, function = spec.stored.partition(":")
    try:
        listed: list[StoredFile] = getattr(import_module(module), function)(spec, options)
    except ImportError as error:
        remedy = f'pip install "isomix[{spec.extra}]"' if spec.extra else "reinstall the plugin's distribution"
        message = f"the weights of {spec.name} cannot be listed: {error}"
        raise EngineUnavailable(message, hint=remedy, model=spec.name) from error
    return [attrs.evolve(file, sha256=file.sha256 or (read_digest(file.path) if file.path else "")) for file in listed]


def _list_entry(weights: Weights, store: WeightsStore) -> list[StoredFile]:
    """List an entry of the store: what its manifest says, or if it is not there, what it would be made of."""
    folder, name = store.path_of(weights), weights.name
    if not folder.exists():
        return [
            StoredFile(name=f"{name}/{file.name}", path=None, size_bytes=file.size_bytes, entry=name)
            for file in weights.files
        ]
    record = StoredFile(name=f"{name}/{MANIFEST_FILE}", path=folder / MANIFEST_FILE, entry=name)
    try:
        manifest = Manifest.read(folder)
    except IntegrityError as error:
        return [attrs.evolve(record, flaw=error.message)]
    files = [
        StoredFile(
            name=f"{name}/{file.name}",
            path=path if (path := folder / file.name).is_file() else None,
            sha256=file.sha256 or "",
            size_bytes=file.size_bytes,
            entry=name,
        )
        for file in manifest.files
    ]
    return [record, *files]
