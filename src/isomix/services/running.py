"""One job, from the claim to its end. It ends in exactly one way, and what it stored counts only if that is success."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import attrs

from isomix.domain.job import Failure, Job, JobState, Outcome
from isomix.domain.keys import attempt_prefix, preview_key
from isomix.domain.limits import LimitsOf
from isomix.domain.preview import PreviewSegment
from isomix.domain.project import Project
from isomix.domain.stem import Stem
from isomix.errors import (
    InvalidTransition,
    IsomixError,
    JobNotFound,
    LeaseLost,
    ObjectNotFound,
    OutOfMemory,
    PersistenceError,
    ProjectNotFound,
    SeparationCancelled,
    StorageError,
)
from isomix.ports import Ports
from isomix.services.engines import EnginePool, identify_weights
from isomix.services.heartbeat import Heartbeat, make_timeout
from isomix.services.jobs import Change, change_job, send
from isomix.services.reusing import find_reusable, reuse
from isomix.services.storing import StudioSink, store_stems
from isomix.settings import StudioSettings

logger = logging.getLogger(__name__)

RETRY_DELAY_SECONDS = 5.0
"""Pause before a job is tried again whose surroundings failed: a store or a database needs time to come back."""

SILENCE_DB = -200.0
"""Below what 24 bits of mantissa can show."""


class JobRunner:
    """Runs jobs, one or several at a time, with engines that stay loaded.

    Parameters
    ----------
    ports : Ports
        Database, store, queue, events.
    settings : StudioSettings
        Lease, attempts, formats.
    limits_of : callable
        Tells an owner's limits.
    worker : str
        Who claims.
    """

    def __init__(self, ports: Ports, settings: StudioSettings, limits_of: LimitsOf, worker: str) -> None:
        self.worker = worker
        self._ports, self._settings, self._limits_of = ports, settings, limits_of
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._engines = EnginePool(settings.engine_memory_bytes, settings.device)
        self._stopping = threading.Event()
        self.job_id = ""

    def run(self, job_id: str) -> None:
        """Run a job to its end; never raises.

        A job that is not queued (a message that came twice, a job that was cancelled) is left alone.
        """
        try:
            if not self._stopping.is_set():
                self._run(job_id)
        except (InvalidTransition, JobNotFound):
            logger.info("job %s is not to be run", job_id)
        except PersistenceError as error:
            logger.warning("job %s cannot be taken or ended now, a reaper will see to it: %s", job_id, error)
        except Exception:
            logger.exception("job %s ended in a way that nobody thought of; a reaper will see to it", job_id)

    def stop(self) -> None:
        """Give running jobs back to the queue, within a segment, and take no more."""
        self._stopping.set()

    def close(self) -> None:
        """Let go of the engines; running jobs must have ended."""
        self._engines.close()

    def _run(self, job_id: str) -> None:
        job = change_job(self._ports.database, job_id, lambda job, now: job.claim(self.worker, now, self._lease))
        self._ports.events.publish(job.project_id)
        self.job_id = job_id
        heartbeat = Heartbeat(self._ports, job, self._lease, self._stopping)
        try:
            with heartbeat:
                self._attempt(job, heartbeat)
        except Exception as error:
            self._end_badly(job, heartbeat, error)
        except KeyboardInterrupt:
            # Somebody at a keyboard, with a queue inside the process, has had enough of this job.
            self._end(job, lambda present, now: present.confirm_cancel(job.fence, now))
            self._discard(job)
            raise
        finally:
            self.job_id = ""
            self._ports.events.publish(job.project_id)

    def _attempt(self, job: Job, heartbeat: Heartbeat) -> None:
        weights = identify_weights(job.recipe.model)
        with self._ports.database.read() as work:
            project = work.projects.get(job.project_id)
            equal = find_reusable(work, job, weights)
        if equal is not None:
            with suppress(ObjectNotFound):  # it was deleted just now: then the work is done
                return self._finish(job, *reuse(self._ports, job, equal))
        started = time.monotonic()
        stems, outcome, samples = self._separate(job, project, weights, heartbeat)
        outcome = attrs.evolve(outcome, seconds=time.monotonic() - started)
        return self._finish(job, stems, outcome, samples)

    def _separate(
        self, job: Job, project: Project, weights: str, heartbeat: Heartbeat
    ) -> tuple[list[Stem], Outcome, int]:
        store, mixture = self._ports.store, project.mixture
        with (
            store.local_file(mixture.key, mixture.sha256) as path,
            store.make_staging() as folder,
            self._engines.lend(job.recipe, weights, heartbeat.hear) as (separator, weights),
            separator.open_pipe(
                path,
                name=project.name,
                progress=heartbeat.hear,
                cancel=heartbeat.token,
                max_seconds=self._limits_of(job.owner).max_seconds,
            ) as pipe,
            StudioSink(folder, separator.stems, pipe, self._settings, self._publisher(job, heartbeat)) as sink,
        ):
            for block in pipe.blocks():
                sink.write(block)
            stored = sink.commit()
            heartbeat.token.check()
            stems = store_stems(store, job, stored)
            outcome = Outcome(
                device=separator.device,
                precision=separator.precision,
                runtime=separator.runtime,
                null_error_db=_finite(pipe.null_error_db),
                gain_db=stored.gain_db,
                notes=pipe.notes,
                weights=weights,
            )
            return stems, outcome, pipe.position

    def _publisher(self, job: Job, heartbeat: Heartbeat) -> Callable[[PreviewSegment, Mapping[str, Path]], None]:
        prefix = attempt_prefix(job.project_id, job.attempt)

        def publish(segment: PreviewSegment, files: Mapping[str, Path]) -> None:
            for position, path in enumerate(files.values()):
                self._ports.store.put_file(preview_key(prefix, position, segment.index), path)
            heartbeat.tell_playable(segment.start + segment.samples)

        return publish

    def _finish(self, job: Job, stems: list[Stem], outcome: Outcome, samples: int) -> None:
        """Make the stems visible and the job succeeded, in one commit; then forget what they replace."""
        with self._ports.database.read() as work:
            replaced = {stem.job_id for stem in work.stems.list_of_project(job.project_id)} - {job.id}
            former = [other for other in work.jobs.list_of_project(job.project_id) if other.id in replaced]
        self._end(
            job,
            lambda present, now: present.succeed(job.fence, now, outcome, samples),
            also=stems,
        )
        for other in former:
            self._delete_objects(other)

    def _end_badly(self, job: Job, heartbeat: Heartbeat, error: Exception) -> None:
        logger.info("job %s: attempt %d ends with %r", job.id, job.attempts, error)
        if isinstance(error, (LeaseLost, JobNotFound, ProjectNotFound)) or heartbeat.reason == "lost":
            return self._discard(job)
        if not isinstance(error, IsomixError):
            logger.error("job %s failed", job.id, exc_info=error)
        with suppress(LeaseLost, JobNotFound):  # the job has gone to another just now, or is deleted
            self._end(job, self._choose_end(job, heartbeat, error))
        return self._discard(job)

    def _choose_end(self, job: Job, heartbeat: Heartbeat, error: Exception) -> Change:
        fence = job.fence
        if heartbeat.reason == "stopped" or not _can_start_threads():
            return lambda job, now: job.give_back(fence, now)
        if isinstance(error, SeparationCancelled):
            if heartbeat.reason == "timed_out":
                failure = Failure.from_error(make_timeout(job))
                return lambda job, now: job.fail(fence, now, failure)
            return lambda job, now: job.confirm_cancel(fence, now)
        failure = Failure.from_error(_name(job, error))
        if isinstance(error, (StorageError, PersistenceError)) and not isinstance(error, ObjectNotFound):
            return lambda job, now: job.retry(fence, now, failure, self._settings.max_attempts)
        return lambda job, now: job.fail(fence, now, failure)

    def _end(self, job: Job, change: Change, also: list[Stem] | None = None) -> None:
        """Write the end of an attempt, again and again while the database is away and the lease lasts."""
        give_up = time.monotonic() + self._lease.total_seconds()
        while True:
            try:
                ended = change_job(
                    self._ports.database,
                    job.id,
                    change,
                    None if also is None else lambda work, _: work.stems.replace(job.project_id, also),
                )
            except LeaseLost:
                # A commit whose answer got lost on the way has happened all the same.
                if not self._has_succeeded(job):
                    raise
                return
            except PersistenceError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.2)
            else:
                if _can_start_threads():  # or else it waits for another process
                    send(self._ports, ended, delay_seconds=0.0 if self._stopping.is_set() else RETRY_DELAY_SECONDS)
                return

    def _has_succeeded(self, job: Job) -> bool:
        with suppress(JobNotFound), self._ports.database.read() as work:
            present = work.jobs.get(job.id)
            return present.state is JobState.SUCCEEDED and present.fence == job.fence
        return False

    def _discard(self, job: Job) -> None:
        """Delete what an attempt stored, unless it counts: the answer to its commit may have got lost on the way.

        Where the database does not tell, everything stays; the sweep sees to it.
        """
        with suppress(PersistenceError):
            if not self._has_succeeded(job):
                self._delete_objects(job)

    def _delete_objects(self, job: Job) -> None:
        """Delete an attempt's objects; what cannot be deleted now is an orphan for the sweep."""
        with suppress(StorageError):
            self._ports.store.delete_prefix(attempt_prefix(job.project_id, job.attempt))


def _finite(null_error_db: float | None) -> float | None:
    """Return a null error that JSON can hold: stems that sum bit for bit have one of minus infinity."""
    return None if null_error_db is None else max(null_error_db, SILENCE_DB)


def _can_start_threads() -> bool:
    """Tell whether this process can do work at all: Python shutting down refuses threads, and so what needs them.

    That is before any ``atexit`` hook has stopped the job, and comes as the error of whatever was refused.
    """
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int)
    except RuntimeError:
        return False
    return True


def _name(job: Job, error: Exception) -> Exception:
    """Call an engine that ran out of memory that, whatever it is wrapped in."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":  # torch's own
            return OutOfMemory(
                f"memory ran out in attempt {job.attempts}",
                hint="choose a smaller model, or give the worker more memory",
                job_id=job.id,
                attempts=job.attempts,
            )
        cause = cause.__cause__
    return error
