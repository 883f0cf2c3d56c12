"""Records of the studio with every field set to something that a careless database would change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs

from isomix.domain.job import Failure, Job, JobProgress, JobState, Outcome
from isomix.domain.project import Mixture, Project
from isomix.domain.recipe import Recipe
from isomix.domain.stem import Stem
from isomix.ports import Database

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
"""A moment with microseconds."""


def after(seconds: float) -> datetime:
    """Return a moment some seconds after `MOMENT`, said in another time zone."""
    return (MOMENT + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=5, minutes=30)))


def make_project(project_id: str = "p", **changes: Any) -> Project:
    """Return a project whose latest job is ``"<its id>-job"``."""
    mixture = Mixture(
        key=f"projects/{project_id}/mixture.wav",
        kind="wav",
        size_bytes=5 << 30,
        sha256="ab" * 32,
        sample_rate=44100,
        channels=2,
        duration=0.1 + 0.2,
    )
    project = Project(
        id=project_id,
        owner="Zoë",
        name="Ünï 🎵 'x'; --",
        mixture=mixture,
        created_at=MOMENT,
        job_id=f"{project_id}-job",
    )
    return attrs.evolve(project, **changes)


def make_job(project_id: str = "p", **changes: Any) -> Job:
    """Return a queued job, ``"<its project's id>-job"``."""
    job = Job(
        id=f"{project_id}-job",
        project_id=project_id,
        owner="Zoë",
        recipe=Recipe("htdemucs"),
        fingerprint="f",
        created_at=MOMENT,
        enqueued_at=MOMENT,
    )
    return attrs.evolve(job, **changes)


def make_full_job(project_id: str = "p") -> Job:
    """Return a job on which everything has happened."""
    return make_job(
        project_id,
        recipe=Recipe("htdemucs", ("vocals", "drums"), 0.25, 3, 7, "float32", "torch"),
        route="gpu",
        timeout_seconds=0.1 + 0.2,
        state=JobState.RUNNING,
        attempts=2,
        fence=3,
        worker="host/1/ab",
        lease_until=after(30),
        started_at=after(1),
        finished_at=after(0.000001),
        cancel_requested=True,
        progress=JobProgress(phase="separate", fraction=1 / 3, eta_seconds=2.5, playable_samples=1 << 40),
        failure=Failure("worker_lost", "geschluckt \x00 \ud800 🎵\n", "nochmal"),
        outcome=Outcome(device="cpu", null_error_db=float("-inf"), gain_db=-0.1, notes=("é", "b"), reused=True),
        version=4,
    )


def make_stem(project_id: str = "p", position: int = 0, **changes: Any) -> Stem:
    """Return a stem that the job ``"<its project's id>-job"`` made."""
    stem = Stem(
        id=f"{project_id}-{position}",
        project_id=project_id,
        job_id=f"{project_id}-job",
        position=position,
        name="vocals 🎤",
        key=f"projects/{project_id}/x/stems/{position}.flac",
        peaks_key=f"projects/{project_id}/x/peaks/{position}.json",
        format="flac",
        size_bytes=3 << 30,
        sha256="cd" * 32,
        sample_rate=48000,
        channels=1,
        samples=1 << 33,
        peak=1 / 3,
        gain_db=-1 / 3,
    )
    return attrs.evolve(stem, **changes)


def store(database: Database, *records: Project | Job) -> None:
    """Add projects and jobs in one unit of work."""
    with database.begin() as unit:
        for record in records:
            if isinstance(record, Project):
                unit.projects.add(record)
            else:
                unit.jobs.add(record)
        unit.commit()
