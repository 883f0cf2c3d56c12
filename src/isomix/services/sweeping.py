"""What a studio throws away: projects past their time, objects that belong to nothing, folders of killed processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

import attrs

from isomix.domain.keys import PROJECTS, attempt_prefix, project_prefix, split_key
from isomix.domain.limits import LimitsOf
from isomix.domain.project import Project
from isomix.errors import ProjectNotFound
from isomix.ports import ObjectInfo, Ports
from isomix.services.recovering import recover
from isomix.settings import StudioSettings

_BATCH = 500


@attrs.frozen(kw_only=True)
class SweepReport:
    """What a sweep did.

    Parameters
    ----------
    jobs_recovered : int
        Jobs that were taken from dead workers or sent again.
    projects_expired : int
        Projects that were deleted for their age.
    orphans_deleted : int
        Folders of objects that belonged to nothing.
    staging_deleted : int
        Local folders of killed processes.
    """

    jobs_recovered: int
    projects_expired: int
    orphans_deleted: int
    staging_deleted: int


def sweep(ports: Ports, settings: StudioSettings, limits_of: LimitsOf) -> SweepReport:
    """Recover lost jobs, delete what is past its time and what belongs to nothing.

    Parameters
    ----------
    ports : Ports
        Everything.
    settings : StudioSettings
        Age of orphans.
    limits_of : callable
        Tells how long an owner's projects are kept.

    Returns
    -------
    SweepReport

    Raises
    ------
    StorageError, PersistenceError
        If the store or the database cannot be reached.
    """
    old = ports.database.now() - timedelta(seconds=settings.orphan_age_seconds)
    return SweepReport(
        jobs_recovered=recover(ports, settings),
        projects_expired=sum(_expire(ports, project) for project in _list_expired(ports, limits_of)),
        orphans_deleted=_delete_orphans(ports, settings),
        staging_deleted=ports.store.sweep_staging(old),
    )


def delete_project(ports: Ports, project_id: str) -> None:
    """Delete a project: its rows first, so that nobody finds it half there; then its objects.

    A worker that still runs its job notices at its next heartbeat.
    """
    with ports.database.begin() as work:
        work.projects.delete(project_id)
        work.commit()
    ports.store.delete_prefix(project_prefix(project_id))
    ports.events.publish(project_id)


def _expire(ports: Ports, project: Project) -> int:
    delete_project(ports, project.id)
    return 1


def _list_expired(ports: Ports, limits_of: LimitsOf) -> Iterator[Project]:
    """Yield projects that are older than their owners' tiers keep them, oldest first."""
    now, after = ports.database.now(), None
    while True:
        with ports.database.read() as work:
            projects = work.projects.list_created_between(after, now, limit=_BATCH)
        for project in projects:
            days = limits_of(project.owner).retention_days
            if days is not None and now - project.created_at > timedelta(days=days):
                yield project
        if len(projects) < _BATCH:
            return
        after = projects[-1].created_at


def _delete_orphans(ports: Ports, settings: StudioSettings) -> int:
    """Delete folders that no row speaks of and that are old enough not to be on their way into one."""
    old = ports.database.now() - timedelta(seconds=settings.orphan_age_seconds)
    newest: dict[str, dict[str, ObjectInfo]] = defaultdict(dict)
    for info in ports.store.list_objects(PROJECTS):
        project_id, attempt = split_key(info.key)
        known = newest[project_id].get(attempt)
        if known is None or known.modified_at < info.modified_at:
            newest[project_id][attempt] = info
    deleted = 0
    for project_id, attempts in newest.items():
        kept = _list_kept(ports, project_id)
        for attempt, info in attempts.items():
            if attempt not in kept and info.modified_at < old:
                _delete_folder(ports, project_id, attempt, info)
                deleted += 1
    return deleted


def _list_kept(ports: Ports, project_id: str) -> set[str]:
    """Return the folders of a project that count: its mixture's, its stems', those of jobs that have not ended."""
    with ports.database.read() as work:
        try:
            work.projects.get(project_id)
        except ProjectNotFound:
            return set()
        active = {job.attempt for job in work.jobs.list_of_project(project_id) if job.is_active}
        return {"", *active, *(split_key(stem.key)[1] for stem in work.stems.list_of_project(project_id))}


def _delete_folder(ports: Ports, project_id: str, attempt: str, info: ObjectInfo) -> None:
    if attempt:
        ports.store.delete_prefix(attempt_prefix(project_id, attempt))
    else:
        ports.store.delete(info.key)
