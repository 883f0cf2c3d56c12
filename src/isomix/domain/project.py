"""A project: one mixture, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath

import attrs

from isomix.domain.job import JobState


class ProjectStatus(StrEnum):
    """What a project's latest job says of it."""

    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"


_LOWEST_BYTES_PER_SECOND = 32_000 / 8

STATUS_OF: Mapping[JobState, ProjectStatus] = {
    JobState.QUEUED: ProjectStatus.PROCESSING,
    JobState.RUNNING: ProjectStatus.PROCESSING,
    JobState.SUCCEEDED: ProjectStatus.READY,
    JobState.FAILED: ProjectStatus.FAILED,
    JobState.CANCELLED: ProjectStatus.CANCELLED,
}


@attrs.frozen(kw_only=True)
class Mixture:
    """The recording as it was uploaded.

    Parameters
    ----------
    key : str
        Object key of its bytes.
    kind : str
        What the bytes are: ``"wav"``, ``"mp3"``, ...
    size_bytes : int
        Size.
    sha256 : str
        Hexadecimal digest.
    sample_rate, channels : int
        By its header; the sample rate in Hz.
    duration : float or None
        Seconds by its header; None where it does not tell.
    """

    key: str
    kind: str
    size_bytes: int
    sha256: str
    sample_rate: int
    channels: int
    duration: float | None

    @property
    def longest_seconds(self) -> float:
        """Seconds that it may last: by its header, or else at a bit rate below which nobody stores music."""
        return self.size_bytes / _LOWEST_BYTES_PER_SECOND if self.duration is None else self.duration


@attrs.frozen(kw_only=True)
class Project:
    """One mixture and the stems separated from it.

    Parameters
    ----------
    id : str
        Unguessable.
    owner : str
        Whose it is.
    name : str
        What people call it: the uploaded file's name, cleaned; never part of an object key.
    mixture : Mixture
        The recording.
    created_at : datetime
        When it was uploaded.
    job_id : str
        Its latest job.
    job_state : JobState
        Where that job was when the project was read.
    version : int
        Rises with every save.
    """

    id: str
    owner: str
    name: str
    mixture: Mixture
    created_at: datetime
    job_id: str
    job_state: JobState = JobState.QUEUED
    version: int = 0

    @property
    def title(self) -> str:
        """Its name without the ending."""
        return PurePosixPath(self.name).stem

    def name_file(self, stem: str, file_format: str) -> str:
        """Return what a stem's file is called where people save it.

        Examples
        --------
        >>> from datetime import datetime
        >>> mixture = Mixture(key="", kind="mp3", size_bytes=0, sha256="", sample_rate=1, channels=1, duration=None)
        >>> Project(
        ...     id="p", owner="o", name="song.mp3", mixture=mixture, created_at=datetime(2026, 1, 1), job_id="j"
        ... ).name_file("drums", "flac")
        'song - drums.flac'
        """
        return f"{self.title} - {stem}.{file_format}"

    @property
    def status(self) -> ProjectStatus:
        """What its latest job said when it was read."""
        return STATUS_OF[self.job_state]
