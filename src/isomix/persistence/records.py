"""Rows into the domain's records, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Table

from isomix.domain.job import Failure, Job, JobProgress, JobState, Outcome
from isomix.domain.project import Mixture, Project
from isomix.domain.recipe import Recipe
from isomix.domain.stem import Stem
from isomix.persistence import tables

_MIXTURE = "mixture_"


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.c)


PROJECT_COLUMNS, JOB_COLUMNS, STEM_COLUMNS = _names(tables.projects), _names(tables.jobs), _names(tables.stems)


def to_project(row: Sequence[Any]) -> Project:
    """Return the project of a row: the table's columns in order, then the state of its latest job.

    A state of None, of a project whose job is still to be added, reads as queued.
    """
    facts = dict(zip(PROJECT_COLUMNS, row[:-1], strict=True))
    mixture = {name.removeprefix(_MIXTURE): facts.pop(name) for name in PROJECT_COLUMNS if name.startswith(_MIXTURE)}
    return Project(**facts, mixture=Mixture(**mixture), job_state=JobState(row[-1] or JobState.QUEUED))


def from_project(project: Project) -> dict[str, Any]:
    """Return the row of a project."""
    facts = attrs.asdict(project, recurse=False)
    del facts["job_state"]
    mixture = attrs.asdict(facts.pop("mixture"))
    return facts | {_MIXTURE + name: value for name, value in mixture.items()}


def to_job(row: Sequence[Any]) -> Job:
    """Return the job of a row: the table's columns in order."""
    facts = dict(zip(JOB_COLUMNS, row, strict=True))
    progress = {name: facts.pop(name) for name in ("phase", "fraction", "eta_seconds", "playable_samples")}
    failure, outcome = facts.pop("failure"), facts.pop("outcome")
    return Job(
        **facts | {"recipe": Recipe.from_dict(facts["recipe"]), "state": JobState(facts["state"])},
        progress=JobProgress(**progress),
        failure=failure and Failure(**failure),
        outcome=outcome and Outcome.from_dict(outcome),
    )


def from_job(job: Job) -> dict[str, Any]:
    """Return the row of a job."""
    facts = attrs.asdict(job, recurse=False)
    return (
        facts
        | attrs.asdict(facts.pop("progress"))
        | {
            "recipe": job.recipe.to_dict(),
            "state": job.state.value,
            "failure": job.failure and attrs.asdict(job.failure),
            "outcome": job.outcome and job.outcome.to_dict(),
        }
    )


def to_stem(row: Sequence[Any]) -> Stem:
    """Return the stem of a row: the table's columns in order."""
    return Stem(**dict(zip(STEM_COLUMNS, row, strict=True)))


def from_stem(stem: Stem) -> dict[str, Any]:
    """Return the row of a stem."""
    return attrs.asdict(stem)
