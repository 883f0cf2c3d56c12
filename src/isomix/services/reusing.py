"""Equal work is done once: the stems of an equal separation of the same owner are copied, not computed again."""

from __future__ import annotations

import attrs

from isomix.domain.job import Job, Outcome
from isomix.domain.keys import attempt_prefix, make_id
from isomix.domain.stem import Stem
from isomix.errors import ObjectNotFound
from isomix.ports import Ports, UnitOfWork


@attrs.frozen
class Reusable:
    """A separation that gave what a job asks for.

    Parameters
    ----------
    job : Job
        It.
    stems : tuple of Stem
        What it gave.
    """

    job: Job
    stems: tuple[Stem, ...]


def find_reusable(work: UnitOfWork, job: Job, weights: str) -> Reusable | None:
    """Return an equal separation of the same owner, by the weights of now, whose stems are there; or None."""
    equal = work.jobs.find_equal(job.owner, job.fingerprint)
    if equal is None or equal.outcome is None or equal.outcome.weights != weights:
        return None
    stems = tuple(stem for stem in work.stems.list_of_project(equal.project_id) if stem.job_id == equal.id)
    return Reusable(equal, stems) if stems else None


def reuse(ports: Ports, job: Job, equal: Reusable) -> tuple[list[Stem], Outcome, int]:
    """Copy stems, peaks and previews; return what is to be remembered, as a separation would.

    Each project keeps copies of its own, so that it can be deleted without a thought of others.

    Raises
    ------
    ObjectNotFound
        If they were deleted meanwhile.
    """
    source = attempt_prefix(equal.job.project_id, equal.job.attempt)
    target = attempt_prefix(job.project_id, job.attempt)
    ports.store.copy_prefix(source, target)
    stems = [
        attrs.evolve(
            stem,
            id=make_id(),
            project_id=job.project_id,
            job_id=job.id,
            key=target + stem.key.removeprefix(source),
            peaks_key=target + stem.peaks_key.removeprefix(source),
        )
        for stem in equal.stems
    ]
    for stem in stems:
        if ports.store.get_info(stem.key).size_bytes != stem.size_bytes:
            raise ObjectNotFound(f"{stem.key} was not copied whole", path=stem.key)
    outcome = attrs.evolve(equal.job.outcome or Outcome(), reused=True, seconds=0.0)
    return stems, outcome, stems[0].samples
