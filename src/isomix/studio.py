"""The studio: the pipeline upload -> separate -> status -> mix, for an application to embed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from isomix.composition import Composition, compose, find_limits
from isomix.domain.limits import LimitsOf
from isomix.domain.mix import Mix
from isomix.domain.preview import Preview
from isomix.domain.project import Project
from isomix.domain.status import Status
from isomix.domain.stem import Stem
from isomix.domain.worker import Worker
from isomix.ports import Ports
from isomix.services import jobs, reading, sweeping, uploading, watching
from isomix.services.sweeping import SweepReport
from isomix.services.uploading import FileLike
from isomix.settings import StudioSettings

if TYPE_CHECKING:
    from isomix.services.exporting import Export


class Studio:
    """Projects, their jobs and stems: for all threads of a process, such as an async application's, and not for forks.

    Parameters
    ----------
    composition : Composition
        What it is made of; `Studio.open` chooses it by addresses.
    settings : StudioSettings
        Everything it can be told.
    limits_of : callable
        Tells an owner's limits.

    Examples
    --------
    >>> import io, numpy as np, soundfile
    >>> recording = io.BytesIO()
    >>> soundfile.write(recording, 0.1 * np.random.default_rng(0).standard_normal((44100, 2)), 44100, format="WAV")
    >>> with Studio.open(database="memory://", storage="memory://docs", queue="inline") as studio:
    ...     project = studio.upload(recording.getvalue(), filename="noise.wav", model="hpss")
    ...     status = studio.status(project.id)
    >>> status.status.value, [stem.name for stem in status.stems]
    ('ready', ['drums', 'bass', 'other'])
    """

    def __init__(self, composition: Composition, settings: StudioSettings, limits_of: LimitsOf) -> None:
        self.settings, self._composition, self._limits_of = settings, composition, limits_of

    @classmethod
    def open(
        cls,
        database: str | None = None,
        storage: str | None = None,
        queue: str | None = None,
        *,
        limits_of: LimitsOf | None = None,
        **settings: Any,
    ) -> Studio:
        """Open a studio by addresses; what is not given comes from ``ISOMIX_*`` variables or has a default.

        Parameters
        ----------
        database : str, optional
            ``"sqlite:///FILE"`` (default: in the platform's data folder), ``"postgresql://..."`` or ``"memory://"``.
        storage : str, optional
            A folder (default: in the platform's data folder) or an fsspec URL such as ``"s3://BUCKET/PREFIX"``.
        queue : str, optional
            ``"background"`` (default: one thread of this process), ``"inline"`` (in the caller) or
            ``"redis://HOST:PORT/DB"`` (Celery workers, started by ``isomix worker``).
        limits_of : callable, optional
            Tells an owner's `Limits`; no limits if neither this nor the setting ``limits`` says otherwise.
        **settings
            Fields of `isomix.settings.StudioSettings`.

        Returns
        -------
        Studio
            Close it, or use it in a ``with`` statement.

        Raises
        ------
        InvalidOptions
            If a setting does not exist or an address is of no known kind.
        StorageError, PersistenceError, QueueError
            If something cannot be reached, or a package is missing.
        """
        chosen = StudioSettings.from_environment(None, database=database, storage=storage, queue=queue, **settings)
        limits_of = limits_of or find_limits(chosen.limits)
        return cls(compose(chosen, limits_of), chosen, limits_of)

    @property
    def ports(self) -> Ports:
        """What every method works on; raises `StudioForked` in a fork of the process that opened the studio."""
        return self._composition.get_ports()

    def close(self) -> None:
        """Give running jobs of this process back and let go of everything; closing twice is harmless."""
        self._composition.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def upload(
        self,
        file: FileLike,
        *,
        filename: str | None = None,
        owner: str = "local",
        model: str | None = None,
        stems: tuple[str, ...] | None = None,
        **choices: Any,
    ) -> Project:
        """Take a recording in and have it separated.

        Parameters
        ----------
        file : path, bytes or binary file
            WAV, FLAC, MP3 and whatever else the owner's limits allow, told by content; read as a stream; no URL.
        filename : str, optional
            What people call it.
        owner : str
            Whose it is.
        model : str, optional
            The name of one of `isomix.list_models`; the setting ``model`` if not given.
        stems : sequence of str, optional
            The stems that are wanted; the model's own if not given.
        **choices
            ``overlap``, ``shifts``, ``seed``, ``precision``, ``runtime`` as in `isomix.EngineOptions`.

        Returns
        -------
        Project
            Its job is queued; with the inline queue it has ended.

        Raises
        ------
        TooLarge, TooLong, UnsupportedFormat, CorruptAudio
            If the recording is refused; nothing is kept and no quota is spent.
        QuotaExceeded
            If the owner's quota is used up.
        UnknownModel, UnknownStem, InvalidOptions
            If a name or an option does not exist, or something is not of a kind that is taken.
        StorageError, PersistenceError, QueueUnavailable
            If it cannot be kept, or the studio is closed.
        """
        ports = self._composition.get_open_ports()
        order = uploading.make_recipe(model or self.settings.model, stems, **choices)
        project = uploading.accept_upload(
            ports, self.settings, self._limits_of, file, filename=filename, owner=owner, order=order
        )
        return self._get(project.id, owner)

    def reseparate(
        self,
        project_id: str,
        *,
        model: str | None = None,
        stems: tuple[str, ...] | None = None,
        owner: str | None = None,
        **choices: Any,
    ) -> Project:
        """Separate a project's mixture again; its stems stay until the new ones take their place.

        The parameters are those of `upload`.

        Raises
        ------
        InvalidTransition, QueueUnavailable
            If its latest job has not ended, or the studio is closed.
        """
        project, ports = self._get(project_id, owner), self._composition.get_open_ports()
        order = uploading.make_recipe(model or self.settings.model, stems, **choices)
        uploading.order_again(ports, self.settings, self._limits_of(project.owner), project, order)
        return self._get(project_id, owner)

    def status(self, project_id: str, *, owner: str | None = None) -> Status:
        """Return how a project is doing, from the database alone.

        Raises
        ------
        ProjectNotFound
            If there is none, or it is not of the ``owner`` that is named.
        """
        return watching.get_status(self.ports, project_id, owner)

    def projects(self, owner: str = "local", *, limit: int = 100, before: datetime | None = None) -> list[Project]:
        """Return an owner's projects, newest first.

        The next page comes ``before`` the ``created_at`` of the last one of this page.
        """
        with self.ports.database.read() as work:
            return work.projects.list_owned(owner, limit=limit, before=before)

    def watch(
        self,
        project_id: str,
        *,
        owner: str | None = None,
        poll_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> Iterator[Status]:
        """Yield the status now and whenever it changes, to the final one.

        Raises
        ------
        ProjectNotFound
            If there is none, or it was deleted meanwhile.
        WaitTimedOut
            If ``timeout_seconds`` are over.
        """
        return watching.watch_status(
            self.ports, project_id, owner, poll_seconds=poll_seconds, timeout_seconds=timeout_seconds
        )

    def wait(self, project_id: str, *, timeout_seconds: float | None = None, owner: str | None = None) -> Status:
        """Return the final status, as soon as there is one.

        Raises
        ------
        ProjectNotFound
            If there is no such project.
        WaitTimedOut
            If ``timeout_seconds`` are over; the job goes on.
        """
        *_, last = self.watch(project_id, owner=owner, timeout_seconds=timeout_seconds)
        return last

    def on_change(self, project_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, from any thread, when a project changes; return what ends that. A call may be lost: look too."""
        return self.ports.events.subscribe(project_id, callback)

    def stems(self, project_id: str, *, owner: str | None = None) -> tuple[Stem, ...]:
        """Return the stems that can be opened; none before the project is ready."""
        return self.status(project_id, owner=owner).stems

    def open_stem(self, project_id: str, name: str, *, owner: str | None = None) -> BinaryIO:
        """Return a stem's file, readable and seekable; never the whole in memory.

        Raises
        ------
        StemNotReady
            If the project is not ready.
        UnknownStem, ProjectNotFound
            If there is no such stem or project.
        """
        return self.ports.store.open(self._stem(project_id, name, owner).key)

    def stem_url(
        self, project_id: str, name: str, *, owner: str | None = None, expires_seconds: float = 3600.0
    ) -> str | None:
        """Return an address where anybody can fetch a stem for some time; None where the store has none.

        Errors are those of `open_stem`.
        """
        status = self.status(project_id, owner=owner)
        stem = reading.get_stem(status, name)
        return self.ports.store.sign_url(stem.key, expires_seconds, status.project.name_file(name, stem.format))

    def open_mixture(self, project_id: str, *, owner: str | None = None) -> BinaryIO:
        """Return the recording as it was uploaded."""
        return self.ports.store.open(self._get(project_id, owner).mixture.key)

    def peaks(self, project_id: str, name: str, *, owner: str | None = None) -> bytes:
        """Return a stem's waveform peaks, as audiowaveform JSON (version 2, 8 bits).

        Errors are those of `open_stem`.
        """
        with self.ports.store.open(self._stem(project_id, name, owner).peaks_key) as file:
            return file.read()

    def preview(self, project_id: str, *, owner: str | None = None) -> Preview:
        """Return which preview segments can be played now: a manifest that grows while the separation runs."""
        return reading.get_preview(self.status(project_id, owner=owner))

    def open_preview(
        self, project_id: str, name: str, segment: int, *, attempt: str | None = None, owner: str | None = None
    ) -> BinaryIO:
        """Return a preview segment of a stem: FLAC, stored `Preview.gain_db` lower than it sounds.

        Parameters
        ----------
        project_id, name : str
            Project and stem.
        segment : int
            Index, from 0.
        attempt : str, optional
            The manifest's; the present one if not given.
        owner : str, optional
            Whose it must be.

        Raises
        ------
        StemNotReady
            If that segment is not stored (yet, or any more).
        UnknownStem, ProjectNotFound
            If there is no such stem or project.
        """
        status = self.status(project_id, owner=owner)
        return reading.open_segment(self.ports.store, status, name, segment, attempt)

    def export(
        self,
        project_id: str,
        mix: Mix | Mapping[str, Any] | None = None,
        *,
        format: str = "wav",  # noqa: A002 - the word users know
        encoding: str | None = None,
        owner: str | None = None,
    ) -> Export:
        """Render a mix of a project's stems.

        Parameters
        ----------
        project_id : str
            Which one.
        mix : Mix or mapping, optional
            What to render; all stems as they are if not given.
        format : {"wav", "flac", "mp3", "ogg"}
            File format.
        encoding : {"int16", "int24", "float32"}, optional
            How samples are stored.
        owner : str, optional
            Whose it must be.

        Returns
        -------
        Export
            A binary file with ``gain_db``, ``headroom_db``, ``duration``, ``filename``, ``media_type``; gone when it
            is closed.

        Raises
        ------
        StemNotReady, ProjectNotFound
            If there is nothing to mix.
        UnknownStem, InvalidOptions
            If the document does not fit.
        """
        from isomix.audio.formats import FileFormat
        from isomix.services.exporting import render_export  # decoders load only for this

        document = mix if isinstance(mix, Mix) else Mix.from_dict(mix or {})
        status = self.status(project_id, owner=owner)
        return render_export(self.ports, status, document, FileFormat.of(format, encoding))

    def cancel(self, project_id: str, *, owner: str | None = None) -> Status:
        """Cancel a project's latest job: at once if it waits, within a segment if it runs.

        Raises
        ------
        InvalidTransition
            If it has ended otherwise.
        ProjectNotFound
            If there is no such project.
        """
        job_id = self._get(project_id, owner).job_id
        jobs.change_job(self.ports.database, job_id, lambda job, now: job.request_cancel(now))
        self.ports.events.publish(project_id)
        return self.status(project_id, owner=owner)

    def delete(self, project_id: str, *, owner: str | None = None) -> None:
        """Delete a project with everything of it; a running job stops."""
        sweeping.delete_project(self.ports, self._get(project_id, owner).id)

    def sweep(self) -> SweepReport:
        """Recover lost jobs, delete projects past their time and objects that belong to nothing.

        Raises
        ------
        StorageError, PersistenceError
            If the store or the database cannot be reached.
        """
        return sweeping.sweep(self.ports, self.settings, self._limits_of)

    def workers(self) -> list[Worker]:
        """Return the workers that were lately heard of."""
        return watching.list_workers(self.ports)

    def health(self) -> dict[str, str]:
        """Return what each part says of itself: ``"ok"`` or what is wrong; and how many workers are online."""
        return watching.check_health(self.ports)

    def _get(self, project_id: str, owner: str | None) -> Project:
        with self.ports.database.read() as work:
            project = work.projects.get(project_id)
        watching.check_owner(project, owner)
        return project

    def _stem(self, project_id: str, name: str, owner: str | None) -> Stem:
        return reading.get_stem(self.status(project_id, owner=owner), name)
