"""What can be opened of a project: its stems, and the preview segments that are stored so far."""

from __future__ import annotations

from typing import BinaryIO

from isomix.domain.job import JobState
from isomix.domain.keys import attempt_prefix, preview_key, split_key
from isomix.domain.preview import Preview
from isomix.domain.status import Status
from isomix.domain.stem import Stem
from isomix.errors import ObjectNotFound, StemNotReady, UnknownStem
from isomix.ports import ObjectStore


def get_stem(status: Status, name: str) -> Stem:
    """Return a stem that can be opened.

    Raises
    ------
    StemNotReady
        If the project has no stems (yet).
    UnknownStem
        If it has others, or its model gives none of that name.
    """
    names = [stem.name for stem in status.stems] or list(status.job.recipe.stems or ())
    if name not in names:
        raise UnknownStem(f"there is no stem {name!r}; there are {', '.join(names)}", stem=name, known=tuple(names))
    check_ready(status)
    return next(stem for stem in status.stems if stem.name == name)


def check_ready(status: Status) -> None:
    """Refuse a project without stems.

    Raises
    ------
    StemNotReady
        If it has none.
    """
    if not status.stems:
        raise StemNotReady(
            f"the stems of project {status.project.id} are not there: it is {status.status.value}",
            hint="wait until it is ready" if not status.is_final else "separate it again",
            project_id=status.project.id,
            status=status.status.value,
        )


def get_preview(status: Status) -> Preview:
    """Return what can be played: of the job that runs, else of the stems that are there."""
    job, rate = status.job, status.project.mixture.sample_rate
    if status.stems and job.state is not JobState.RUNNING:
        first = status.stems[0]
        return Preview(
            attempt=split_key(first.key)[1],
            stems=tuple(stem.name for stem in status.stems),
            sample_rate=first.sample_rate,
            playable_samples=first.samples,
            complete=True,
        )
    return Preview(
        attempt=job.attempt,
        stems=job.recipe.stems or (),
        sample_rate=rate,
        playable_samples=job.progress.playable_samples,
        complete=False,
    )


def open_segment(store: ObjectStore, status: Status, name: str, segment: int, attempt: str | None) -> BinaryIO:
    """Return a stored preview segment of a stem.

    Raises
    ------
    UnknownStem
        If there is no such stem.
    StemNotReady
        If that segment is not stored (yet, or any more).
    """
    preview, project_id = get_preview(status), status.project.id
    if name not in preview.stems:
        known = ", ".join(preview.stems)
        raise UnknownStem(f"there is no stem {name!r}; there are {known}", stem=name, known=preview.stems)
    try:
        prefix = attempt_prefix(project_id, attempt or preview.attempt)
        return store.open(preview_key(prefix, preview.stems.index(name), segment))
    except ObjectNotFound as error:
        raise StemNotReady(
            f"segment {segment} of {name} is not there",
            hint="read the manifest again",
            project_id=project_id,
            status=status.status.value,
        ) from error
