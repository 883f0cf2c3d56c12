"""From an untrusted byte stream to a project with a queued job: objects before rows, rows before messages."""

from __future__ import annotations

import hashlib
import io
import unicodedata
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import attrs

from isomix.audio.formats import FileFormat
from isomix.audio.inspection import Recording, inspect
from isomix.audio.url import conceal
from isomix.domain.job import ACTIVE, Job
from isomix.domain.keys import make_id, mixture_key
from isomix.domain.limits import Limits, LimitsOf, period_of
from isomix.domain.project import Mixture, Project
from isomix.domain.recipe import Recipe
from isomix.domain.stems import StemPlan
from isomix.engine import EngineSpec
from isomix.errors import (
    InvalidOptions,
    InvalidTransition,
    ObjectNotFound,
    PersistenceError,
    StorageError,
    UnsupportedFormat,
)
from isomix.plugins import installed
from isomix.ports import Ports
from isomix.services.jobs import send
from isomix.settings import StudioSettings, check_model

FileLike: TypeAlias = str | Path | bytes | BinaryIO
"""What can be uploaded: a path, bytes or a readable binary file."""

_CHUNK_BYTES = 1 << 20
_NAME_CHARACTERS = 200


def make_recipe(model: str, stems: Any, **choices: Any) -> tuple[Recipe, EngineSpec]:
    """Return a recipe with its stems named one by one, and the model it speaks of.

    Raises
    ------
    UnknownModel, UnknownStem, InvalidOptions
        If a name or an option does not exist.
    """
    check_model(model)
    recipe = Recipe.from_dict({"model": model, "stems": stems, **choices})
    spec = installed().get_spec(model, recipe.to_options())
    names = StemPlan.of(spec.name, spec.stems, recipe.stems).names
    return Recipe(model, names, **recipe.choices), spec


def make_job(project_id: str, owner: str, mixture: Mixture, order: tuple[Recipe, EngineSpec], **facts: Any) -> Job:
    """Return a new queued job for a mixture.

    Parameters
    ----------
    project_id, owner : str
        Whose it is.
    mixture : Mixture
        The recording.
    order : tuple of Recipe and EngineSpec
        What is to be made of it, and the model.
    **facts
        ``created_at``, ``settings``.
    """
    recipe, spec = order
    settings: StudioSettings = facts["settings"]
    made_of = f"{_identify_weights(spec)} as {settings.stem_format} {settings.stem_encoding}"
    return Job(
        id=make_id(),
        project_id=project_id,
        owner=owner,
        recipe=recipe,
        fingerprint=recipe.fingerprint(mixture.sha256, made_of),
        route=settings.get_route(recipe.model),
        timeout_seconds=max(settings.timeout_seconds, mixture.longest_seconds),
        created_at=facts["created_at"],
        enqueued_at=facts["created_at"],
    )


def accept_upload(
    ports: Ports,
    settings: StudioSettings,
    limits_of: LimitsOf,
    file: FileLike,
    *,
    filename: str | None,
    owner: str,
    order: tuple[Recipe, EngineSpec],
) -> Project:
    """Take a recording in, or refuse it and leave nothing behind.

    Parameters
    ----------
    ports : Ports
        Where everything goes.
    settings : StudioSettings
        Timeouts and routes.
    limits_of : callable
        Tells an owner's limits.
    file : path, bytes or binary file
        The recording; a file is read once, from where it stands.
    filename : str or None
        What people call it.
    owner : str
        Whose it is.
    order : tuple of Recipe and EngineSpec
        What is to be made of it.

    Returns
    -------
    Project
        Committed, with its job handed to the queue.

    Raises
    ------
    InvalidOptions
        If the recording or the owner is of a kind that is not taken.
    AudioRejected
        If it is too large, too long, of a wrong kind or damaged.
    QuotaExceeded
        If the owner's quota is used up.
    StorageError, PersistenceError
        If it cannot be kept.
    """
    _check_kinds(file, owner)
    limits = limits_of(owner)
    name = clean_name(filename or (Path(file).name if isinstance(file, str | Path) else "recording"))
    _check_quota(ports, limits, owner)
    with ports.store.make_staging() as folder:
        path = folder / "mixture"
        sha256 = _receive(file, path, limits)
        recording = inspect(path, name)
        limits.check_kind(recording.kind, name)
        limits.check_duration(recording.duration)
        _check_rate(recording.sample_rate, name)
        project_id = make_id()
        mixture = _describe(recording, mixture_key(project_id, recording.kind), sha256)
        ports.store.put_file(mixture.key, path)
    return _register(ports, settings, limits, (project_id, owner, name), mixture, order)


def _check_kinds(file: object, owner: object) -> None:
    """Refuse what is no recording or no owner, before anything is read."""
    if not isinstance(owner, str):
        raise InvalidOptions(
            f"an owner is a name, not {type(owner).__name__}",
            hint='leave it out for "local"',
            option="owner",
            value=type(owner).__name__,
        )
    if isinstance(file, str) and "://" in file:
        raise InvalidOptions(
            f"{conceal(file)} is a URL, and an upload takes a path, bytes or a binary file",
            hint='open it first, such as with fsspec.open(url, "rb"), and upload the file',
            option="file",
            value=conceal(file),
        )
    if isinstance(file, io.TextIOBase):
        raise _make_text_error()
    if not isinstance(file, str | Path | bytes) and not hasattr(file, "read"):
        raise InvalidOptions(
            f"{type(file).__name__} cannot be read as a recording",
            hint="an upload is a path, bytes or a binary file",
            option="file",
            value=type(file).__name__,
        )


def _make_text_error() -> InvalidOptions:
    return InvalidOptions('a recording is bytes, not text: open it with "rb"', option="file", value="text")


def _register(
    ports: Ports,
    settings: StudioSettings,
    limits: Limits,
    who: tuple[str, str, str],
    mixture: Mixture,
    order: tuple[Recipe, EngineSpec],
) -> Project:
    project_id, owner, name = who
    now = ports.database.now()
    job = make_job(project_id, owner, mixture, order, created_at=now, settings=settings)
    project = Project(id=project_id, owner=owner, name=name, mixture=mixture, created_at=now, job_id=job.id)
    try:
        with ports.database.begin() as work:
            # Spending comes first: it makes another upload of the same owner wait until this one is committed.
            limits.check_projects(work.usage.spend(owner, period_of(now)))
            limits.check_jobs(work.jobs.count_active(owner))
            work.projects.add(project)
            work.jobs.add(job)
            work.commit()
    except BaseException as error:
        # A commit whose answer got lost on the way has happened all the same.
        if not (isinstance(error, PersistenceError) and _is_registered(ports, project_id)):
            with suppress(StorageError):  # it is an orphan for the sweep, then
                ports.store.delete(mixture.key)
            raise
    send(ports, job)
    return project


def _is_registered(ports: Ports, project_id: str) -> bool:
    """Tell whether a project is there; raises where the database does not tell, and then its object must stay."""
    with ports.database.read() as work:
        return bool(work.projects.find_existing([project_id]))


def _check_quota(ports: Ports, limits: Limits, owner: str) -> None:
    """Refuse before a byte is read where the answer is known; the commit decides."""
    with ports.database.read() as work:
        limits.check_projects(work.usage.get(owner, period_of(ports.database.now())))
        limits.check_jobs(work.jobs.count_active(owner))


def _receive(file: FileLike, path: Path, limits: Limits) -> str:
    digest, size_bytes = hashlib.sha256(), 0
    with _opened(file) as source, _create(path) as target:
        for chunk in _chunks(source):
            size_bytes += len(chunk)
            limits.check_size(size_bytes)
            digest.update(chunk)
            _write(target, chunk)
    return digest.hexdigest()


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK_BYTES):
        if not isinstance(chunk, bytes):
            raise _make_text_error()
        yield chunk


def _create(path: Path) -> io.FileIO:
    """Open a file that holds nothing back, so that a disk without room says so in `_write` and not when it closes."""
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise _describe_refusal(error) from error


def _write(target: io.FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[target.write(rest) :]
    except OSError as error:
        raise _describe_refusal(error) from error


def _describe_refusal(error: OSError) -> StorageError:
    return StorageError(f"the upload cannot be kept: {error}", hint="is the disk full?", path="staging")


def _opened(file: FileLike) -> AbstractContextManager[BinaryIO]:
    if isinstance(file, bytes):
        return io.BytesIO(file)
    if not isinstance(file, str | Path):
        return nullcontext(file)  # it is the caller's to close
    try:
        return Path(file).open("rb")
    except FileNotFoundError as error:
        raise ObjectNotFound(f"{file} does not exist", hint="name an audio file", path=str(file)) from error
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error}", path=str(file)) from error


def _check_rate(sample_rate: int, name: str) -> None:
    """Refuse a rate that previews cannot have.

    Raises
    ------
    UnsupportedFormat
        If FLAC has no such rate.
    """
    if not FileFormat.of("flac").holds(sample_rate):
        raise UnsupportedFormat(
            f"{name} has a sample rate of {sample_rate} Hz, which FLAC cannot hold",
            hint="convert it to 44.1, 48 or 96 kHz",
            name=name,
        )


def _describe(recording: Recording, key: str, sha256: str) -> Mixture:
    return Mixture(
        key=key,
        kind=recording.kind,
        size_bytes=recording.size_bytes,
        sha256=sha256,
        sample_rate=recording.sample_rate,
        channels=recording.channels,
        duration=recording.duration,
    )


def _identify_weights(spec: EngineSpec) -> str:
    """Return what tells one version of a model from another: digests of its files where they are known."""
    files = spec.weights.files if spec.weights else ()
    return " ".join([spec.name, spec.factory, *(file.sha256 or file.name for file in files)])


def clean_name(name: str) -> str:
    """Return what a file is called, without folders and without what could confuse a reader or a header.

    Examples
    --------
    >>> clean_name("../../etc/My Song.mp3")
    'My Song.mp3'
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(character for character in last if character.isprintable())
    return printable.strip()[:_NAME_CHARACTERS] or "recording"


def order_again(
    ports: Ports, settings: StudioSettings, limits: Limits, project: Project, order: tuple[Recipe, EngineSpec]
) -> Job:
    """Queue another job for a project's mixture.

    Raises
    ------
    InvalidTransition
        If its latest job has not ended.
    QuotaExceeded
        If the owner has as many jobs as may be.
    """
    now = ports.database.now()
    job = make_job(project.id, project.owner, project.mixture, order, created_at=now, settings=settings)
    with ports.database.begin() as work:
        present = work.projects.get(project.id)
        if present.job_state in ACTIVE:
            raise InvalidTransition(
                f"project {project.id} is being separated already",
                hint="wait, or cancel it first",
                job_id=present.job_id,
                state=present.job_state.value,
                wanted=job.state.value,
            )
        limits.check_jobs(work.jobs.count_active(project.owner))
        work.jobs.add(job)
        work.projects.save(attrs.evolve(present, job_id=job.id))
        work.commit()
    send(ports, job)
    return job
