"""What goes over the wire, as OpenAPI shows it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

import attrs
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from isomix import EngineSpec
from isomix.domain.limits import Limits
from isomix.domain.preview import Preview
from isomix.domain.project import Project, ProjectStatus
from isomix.domain.status import Status
from isomix.domain.stem import Stem
from isomix.errors import ProjectNotFound

State = Literal["pending", "ready", "failed", "cancelled"]
_STATES: dict[ProjectStatus, State] = {
    ProjectStatus.PROCESSING: "pending",
    ProjectStatus.READY: "ready",
    ProjectStatus.FAILED: "failed",
    ProjectStatus.CANCELLED: "cancelled",
}


def check_id(text: str) -> str:
    """Return what may be a project's id; anything else never reaches the database.

    Raises
    ------
    ProjectNotFound
        If it can be none.
    """
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise ProjectNotFound(f"there is no project {text[:40]}", project_id=text[:40])
    return text


def _check_written(text: object) -> object:
    if isinstance(text, str) and not re.match(r"\d{4}-\d{2}-\d{2}[Tt ]", text):
        raise ValueError("it is a date and a time with its zone, as in RFC 3339")
    return text


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("it lies before or after all times") from error


ProjectId = Annotated[str, AfterValidator(check_id)]
Moment = Annotated[AwareDatetime, BeforeValidator(_check_written), AfterValidator(_to_utc)]


def state_of(status: ProjectStatus) -> State:
    """Return what clients call a project's status."""
    return _STATES[status]


class StemBody(BaseModel):
    """A stem that can be fetched; its addresses name its version and may be cached for ever."""

    name: str
    url: str
    peaks_url: str
    format: str
    duration_seconds: float
    size_bytes: int

    @classmethod
    def of(cls, stem: Stem) -> StemBody:
        """Describe a stem."""
        base, name, version = f"/projects/{stem.project_id}", quote(stem.name), stem.sha256[:16]
        return cls(
            name=stem.name,
            url=f"{base}/stems/{name}?v={version}",
            peaks_url=f"{base}/peaks/{name}?v={version}",
            format=stem.format,
            duration_seconds=stem.duration,
            size_bytes=stem.size_bytes,
        )


class ErrorBody(BaseModel):
    """Why a separation failed."""

    code: str
    message: str
    hint: str


class ProjectBody(BaseModel):
    """A project in a list."""

    project_id: str
    name: str
    created_at: datetime
    duration_seconds: float | None
    status: State

    @staticmethod
    def fields_of(project: Project) -> dict[str, Any]:
        """Return the values of these fields."""
        return {
            "project_id": project.id,
            "name": project.name,
            "created_at": project.created_at,
            "duration_seconds": project.mixture.duration,
            "status": state_of(project.status),
        }


class StatusBody(ProjectBody):
    """A project and how far it is."""

    model: str
    phase: str
    progress: float
    eta_seconds: float | None
    playable_seconds: float
    queue_position: int | None
    worker_online: bool
    attempt: str
    stems: list[StemBody]
    error: ErrorBody | None

    @classmethod
    def of(cls, status: Status) -> StatusBody:
        """Describe a status."""
        return cls(
            **{**ProjectBody.fields_of(status.project), "status": state_of(status.status)},
            model=status.job.recipe.model,
            phase=status.phase,
            progress=status.progress,
            eta_seconds=status.eta_seconds,
            playable_seconds=status.playable_seconds,
            queue_position=status.queue_position,
            worker_online=status.worker_online,
            attempt=status.job.attempt,
            stems=[StemBody.of(stem) for stem in status.stems],
            error=ErrorBody(**attrs.asdict(status.error)) if status.error else None,
        )


class ProjectsBody(BaseModel):
    """Projects, newest first."""

    projects: list[ProjectBody]


class AcceptedBody(BaseModel):
    """A recording that will be separated, and where to watch that."""

    project_id: str
    status_url: str
    ws_url: str

    @classmethod
    def of(cls, project: Project) -> AcceptedBody:
        """Tell where to watch a project."""
        return cls(project_id=project.id, status_url=f"/status/{project.id}", ws_url=f"/ws/{project.id}")


class SegmentBody(BaseModel):
    """A stretch of all stems that can be played."""

    index: int
    start: int
    samples: int


class PreviewBody(BaseModel):
    """What can be played now. ``urls`` is a template with ``{stem}`` and ``{segment}`` left to fill in."""

    attempt: str
    stems: list[str]
    sample_rate: int
    playable_samples: int
    playable_seconds: float
    complete: bool
    gain_db: float
    segments: list[SegmentBody]
    urls: str

    @classmethod
    def of(cls, project_id: str, preview: Preview) -> PreviewBody:
        """Describe a preview."""
        urls = f"/projects/{project_id}/preview/{preview.attempt}/{{stem}}/{{segment}}.flac"
        return cls(**preview.to_dict(), urls=urls)


class ModelBody(BaseModel):
    """A model to choose."""

    name: str
    stems: list[str]
    licence: str
    commercial_use: str
    summary: str
    default: bool
    available: bool

    @classmethod
    def of(cls, spec: EngineSpec, *, default: bool, available: bool) -> ModelBody:
        """Describe a model."""
        facts = {name: getattr(spec, name) for name in ("name", "licence", "commercial_use", "summary")}
        return cls(**facts, stems=list(spec.stems), default=default, available=available)


class LimitsBody(BaseModel):
    """What the caller may do; null is no limit."""

    tier: str
    max_bytes: int | None
    max_seconds: float | None
    formats: list[str] | None
    projects_per_month: int | None
    concurrent_jobs: int | None
    retention_days: float | None

    @classmethod
    def of(cls, limits: Limits) -> LimitsBody:
        """Describe limits."""
        return cls(**{**attrs.asdict(limits), "formats": sorted(limits.formats) if limits.formats else None})


class HealthBody(BaseModel):
    """What each part says of itself: ``"ok"`` or what is wrong."""

    database: str
    storage: str
    queue: str
    workers: str


class _Given(BaseModel):
    """What a client sends is taken as it is: no text for numbers, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


_Gain = Annotated[float, Field(ge=-120, le=60)]
_Seconds = Annotated[float, Field(ge=0)]


class TrackBody(_Given):
    """How one stem is heard."""

    gain_db: _Gain = 0
    pan: Annotated[float, Field(ge=-1, le=1)] = 0
    mute: bool = False
    solo: bool = False
    fade_in_seconds: _Seconds = 0
    fade_out_seconds: _Seconds = 0


class MixBody(_Given):
    """A mix document; a stem that is not named is heard as it is."""

    stems: dict[str, TrackBody] = {}
    gain_db: _Gain = 0
    start_seconds: _Seconds = 0
    end_seconds: Annotated[float, Field(gt=0)] | None = None


class ExportBody(_Given):
    """A mix to render."""

    project_id: ProjectId
    mix: MixBody = MixBody()
    format: Literal["wav", "flac", "mp3", "ogg"] = "wav"
    encoding: Literal["int16", "int24", "float32"] | None = None


class AgainBody(_Given):
    """How to separate a project once more."""

    model: str | None = None
