"""What a client is told of a project: read from the database alone."""

from __future__ import annotations

import attrs

from isomix.domain.job import Failure, Job, JobState
from isomix.domain.project import STATUS_OF, Project, ProjectStatus
from isomix.domain.stem import Stem


@attrs.frozen(kw_only=True)
class Status:
    """A project and its latest job, at one moment.

    Parameters
    ----------
    project : Project
        The project.
    job : Job
        Its latest job.
    stems : tuple of Stem
        The stems that can be opened; after `Studio.reseparate` the former ones stay until the new ones are there.
    queue_position : int or None
        Jobs ahead of it on its route; None once it runs or has ended.
    worker_online : bool
        Whether a worker that may take it has lately been heard of.
    """

    project: Project
    job: Job
    stems: tuple[Stem, ...] = ()
    queue_position: int | None = None
    worker_online: bool = True

    @property
    def status(self) -> ProjectStatus:
        """Processing, ready, failed or cancelled."""
        return STATUS_OF[self.job.state]

    @property
    def phase(self) -> str:
        """What is being done now; ``"queued"`` before."""
        return "queued" if self.job.state is JobState.QUEUED else self.job.progress.phase

    @property
    def progress(self) -> float:
        """Share of the work that is done, 0 to 1."""
        return self.job.progress.fraction

    @property
    def eta_seconds(self) -> float | None:
        """Expected remaining wall seconds, where it is known."""
        return self.job.progress.eta_seconds

    @property
    def playable_seconds(self) -> float:
        """Seconds from the start that can be played now."""
        return self.job.progress.playable_samples / self.project.mixture.sample_rate

    @property
    def error(self) -> Failure | None:
        """Why it failed; None unless it did."""
        return self.job.failure if self.job.state is JobState.FAILED else None

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen by itself."""
        return not self.job.is_active
