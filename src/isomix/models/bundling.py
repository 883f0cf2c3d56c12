"""Pack models for a machine without a network."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import attrs

from isomix._version import __version__
from isomix.domain.options import EngineOptions
from isomix.domain.progress import Progress
from isomix.domain.weights import StoredFile, WeightFile
from isomix.engine import EngineSpec
from isomix.errors import IntegrityError, InvalidOptions, StorageError
from isomix.models.archive import (
    LICENCES_MEMBER,
    MANIFEST_MEMBER,
    PIECE_BYTES,
    SEAL,
    WEIGHTS_FOLDER,
    Bundle,
    is_safe_name,
    make_manifest,
    write_seal,
)
from isomix.models.catalog import ModelInfo
from isomix.models.inventory import list_files
from isomix.models.manifest import SHA256_DIGITS, describe_file
from isomix.models.pulling import is_here, pull
from isomix.models.verifying import check_files
from isomix.plugins import installed

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3


def bundle(
    models: Sequence[str],
    path: str | Path,
    *,
    weights_dir: str | Path | None = None,
    offline: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Bundle:
    """Write one archive with models' weights, hashes and licences; what is not here is fetched first.

    Equal weights and names give the same bytes. Files that several models share are in it once.

    Parameters
    ----------
    models : sequence of str
        Names of models.
    path : path
        The archive to write; one that is there is replaced when the new one is whole.
    weights_dir : path, optional
        The weights folder; None for the environment's or the platform's.
    offline : bool
        Fetch nothing.
    on_progress : callable, optional
        Told how far downloads are.

    Returns
    -------
    Bundle

    Raises
    ------
    WeightsUnavailable
        If a model's weights are not here and cannot be had.
    IntegrityError
        If a file of weights is damaged; it is named.
    InvalidOptions
        If no model needs weights, or none is named.
    StorageError
        If the archive cannot be written.

    Examples
    --------
    >>> bundle(["hpss"], "models.zip")
    Traceback (most recent call last):
    isomix.errors.InvalidOptions: hpss needs no weights: there is nothing to bundle
    """
    if isinstance(models, str) or not models:
        raise InvalidOptions("name the models in a list, at least one", option="models", value=models)
    names = tuple(sorted(set(models)))
    options = EngineOptions(weights_dir=weights_dir, offline=True)
    for name in names:
        if not is_here(name, weights_dir=weights_dir):
            # Nothing is to be measured or converted for this machine: the weights are for another.
            pull(
                name,
                on_progress=on_progress,
                weights_dir=weights_dir,
                offline=offline,
                device="cpu",
                precision="float32",
            )
    specs = [installed().get_spec(name, options) for name in names]
    files = {file.name: file for spec in specs for file in list_files(spec, options)}
    if not files:
        needless = ", ".join(names)
        raise InvalidOptions(f"{needless} needs no weights: there is nothing to bundle", option="models", value=models)
    return _write(names, specs, [files[name] for name in sorted(files)], Path(path).expanduser())


def _write(names: tuple[str, ...], specs: Sequence[EngineSpec], files: Sequence[StoredFile], path: Path) -> Bundle:
    """Write the archive beside its place, and move it there when it is whole."""
    sources = {WEIGHTS_FOLDER + file.name: _get_sound_path(file) for file in files}
    texts = {LICENCES_MEMBER: _describe_licences(specs).encode()}
    members = [_describe_text(name, text) for name, text in texts.items()]
    members += [attrs.evolve(describe_file(source), name=name) for name, source in sources.items()]
    texts = {MANIFEST_MEMBER: make_manifest(names, members), **texts}
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        with partial.open("x+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
                _write_members(zipped, texts, sources)
            digest = write_seal(file)
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}", path=str(path)) from error
    finally:
        with suppress(OSError):  # it is not there any more, or was never made
            partial.unlink()
    weights = tuple(attrs.evolve(member, name=member.name.removeprefix(WEIGHTS_FOLDER)) for member in members[1:])
    return Bundle(models=names, isomix=__version__, files=weights, sha256=digest)


def _get_sound_path(file: StoredFile) -> Path:
    """Return where a file is, or refuse to pass it on."""
    (report,) = check_files([file])
    if report.status != "ok" or file.path is None:
        raise IntegrityError(
            f"{file.name} is {report.status}: {report.reason or 'it is not on this machine'}",
            hint="remove it with `isomix models remove`, then pull again",
            path=str(file.path),
        )
    if not is_safe_name(WEIGHTS_FOLDER + file.name):
        raise StorageError(f"{file.name!r} cannot be the name of a file in a bundle", path=str(file.path))
    return file.path


def _describe_text(name: str, text: bytes) -> WeightFile:
    return WeightFile(name, hashlib.sha256(text).hexdigest(), len(text))


def _write_members(zipped: zipfile.ZipFile, texts: dict[str, bytes], sources: dict[str, Path]) -> None:
    """Write everything with the same date, owner and order, so that equal content is an equal archive."""
    for name, text in texts.items():
        zipped.writestr(_make_info(name, len(text)), text)
    for name, source in sources.items():
        with source.open("rb") as stream, zipped.open(_make_info(name, source.stat().st_size), "w") as member:
            shutil.copyfileobj(stream, member, PIECE_BYTES)
    zipped.comment = SEAL + b"0" * SHA256_DIGITS


def _make_info(name: str, size_bytes: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr, info.file_size = _UNIX, _MODE, size_bytes
    return info


def _describe_licences(specs: Sequence[EngineSpec]) -> str:
    """Say for people what is known of the licences; what is not known is said to be so."""
    sections = ["Licences of the models in this bundle, as far as isomix knows them. Whoever uses them must judge."]
    for info in map(ModelInfo.of, specs):
        lines = [info.name, f"  licence: {info.licence}", f"  commercial use: {info.commercial_use}"]
        lines += [f"  source: {source}" for source in info.sources]
        sections.append("\n".join(lines))
    return "\n\n".join(sections) + "\n"
