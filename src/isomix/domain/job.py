"""A job: somebody asked for stems of a mixture, and this is how far it got.

Rules of this file
------------------
- `TRANSITIONS` is the whole truth about states; every method goes through it and any other move raises.
- A job never changes in place: each method returns the next version of it. Persistence compares versions, so of two
  writers one wins and the other reads again.
- Whoever claims a job gets a *fence*, a number that rises with every claim. What a worker writes names its fence; a
  worker whose lease has gone to another holds an old one and is refused, however late it wakes.
- An attempt that ends with the process (a kill, a power cut) is counted; one that is given back politely is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

import attrs

from isomix.domain.keys import attempt_name
from isomix.domain.progress import Phase
from isomix.domain.recipe import Recipe
from isomix.errors import InvalidTransition, IsomixError, LeaseLost, OutOfMemory, WorkerLost

KILLED = 137
"""Exit code of a process that got SIGKILL (128 + 9): what the kernel sends when memory has run out."""


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.QUEUED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}
"""From each state, the states that may follow. A lost or given-back lease leads from running to queued again."""

ACTIVE = frozenset(state for state, following in TRANSITIONS.items() if following)
"""The states that have an exit."""


@attrs.frozen
class Failure:
    """Why a job failed, as its owner may read it.

    Parameters
    ----------
    code : str
        Stable, for programs.
    message : str
        What went wrong.
    hint : str
        What can be done about it.

    Examples
    --------
    >>> Failure.from_error(ValueError("odd")).code
    'internal_error'
    """

    code: str
    message: str
    hint: str = ""

    @classmethod
    def from_error(cls, error: BaseException) -> Failure:
        """Describe an error: isomix's own by its code, any other without its inner details."""
        if isinstance(error, IsomixError):
            return cls(error.code, error.message, error.hint)
        return cls("internal_error", f"{type(error).__name__} inside the worker", "the worker's log has the details")


@attrs.frozen(kw_only=True)
class JobProgress:
    """How far a running job is.

    Parameters
    ----------
    phase : str
        What is being done now, as in `isomix.Progress`.
    fraction : float
        Share of the work that is done, 0 to 1.
    eta_seconds : float or None
        Expected remaining wall seconds.
    playable_samples : int
        Samples from the start whose preview segments are stored.
    """

    phase: Phase = "load"
    fraction: float = 0.0
    eta_seconds: float | None = None
    playable_samples: int = 0


@attrs.frozen(kw_only=True)
class Outcome:
    """What a successful separation told about itself.

    Parameters
    ----------
    device, precision, runtime : str
        As they were chosen.
    null_error_db : float or None
        Energy of the mixture minus the stems against the mixture's, in dB; None where it is not known.
    gain_db, seconds : float
        Shared gain on the stored stems; wall seconds of the work.
    notes : tuple of str
        What a careful reader should know.
    reused : bool
        Whether the stems were copied from an equal separation.
    weights : str
        What tells the files of the model's weights from others; empty for a model without any.
    """

    device: str = ""
    precision: str = ""
    runtime: str = ""
    null_error_db: float | None = None
    gain_db: float = 0.0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    reused: bool = False
    weights: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the facts in values that JSON can hold."""
        return {**attrs.asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Outcome:
        """Return what `to_dict` described."""
        return cls(**{**facts, "notes": tuple(facts["notes"])})


@attrs.frozen(kw_only=True)
class Job:
    """One separation that was asked for.

    Parameters
    ----------
    id, project_id, owner : str
        Whose it is.
    recipe : Recipe
        What to make.
    fingerprint : str
        Equal for jobs that would give equal stems.
    route : str
        Which workers may take it.
    timeout_seconds : float
        Wall time that one attempt may take.
    created_at : datetime
        When it was asked for.
    enqueued_at : datetime
        When its message was last handed to the queue.
    state : JobState
        Where it is.
    attempts : int
        Claims that count.
    fence : int
        All claims; the number that its present worker holds.
    worker : str
        Who has it, or had it last.
    lease_until : datetime or None
        When it is taken from a worker that does not speak up.
    started_at, finished_at : datetime or None
        When the last attempt began; when it ended for good.
    cancel_requested : bool
        Whether a running job is to stop.
    progress : JobProgress
        How far it is.
    failure : Failure or None
        Why it failed, or why the last attempt was lost.
    outcome : Outcome or None
        What a success told.
    version : int
        Rises with every save.

    Examples
    --------
    >>> from datetime import datetime, timedelta, timezone
    >>> now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    >>> job = Job(id="j", project_id="p", owner="o", recipe=Recipe("hpss"), fingerprint="f", created_at=now,
    ...           enqueued_at=now)
    >>> running = job.claim("worker-1", now, timedelta(seconds=30))
    >>> running.state.value, running.fence
    ('running', 1)
    >>> running.claim("worker-2", now, timedelta(seconds=30))
    Traceback (most recent call last):
    isomix.errors.InvalidTransition: job j cannot go from running to running
    """

    id: str
    project_id: str
    owner: str
    recipe: Recipe
    fingerprint: str
    created_at: datetime
    enqueued_at: datetime
    route: str = "default"
    timeout_seconds: float = 300.0
    state: JobState = JobState.QUEUED
    attempts: int = 0
    fence: int = 0
    worker: str = ""
    lease_until: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested: bool = False
    progress: JobProgress = attrs.field(factory=JobProgress)
    failure: Failure | None = None
    outcome: Outcome | None = None
    version: int = 0

    @property
    def attempt(self) -> str:
        """Name of the last attempt at it, in object keys."""
        return attempt_name(self.id, self.fence)

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ACTIVE

    def claim(self, worker: str, now: datetime, lease: timedelta) -> Self:
        """Take a queued job.

        Raises
        ------
        InvalidTransition
            If it is not queued.
        """
        return self._to(
            JobState.RUNNING,
            worker=worker,
            attempts=self.attempts + 1,
            fence=self.fence + 1,
            lease_until=now + lease,
            started_at=now,
            progress=JobProgress(),
        )

    def beat(self, fence: int, now: datetime, lease: timedelta, progress: JobProgress) -> Self:
        """Renew the lease and tell how far the work is.

        Raises
        ------
        LeaseLost
            If the job has gone to another or has ended.
        """
        self._check_fence(fence)
        return attrs.evolve(self, lease_until=now + lease, progress=progress)

    def succeed(self, fence: int, now: datetime, outcome: Outcome, playable_samples: int) -> Self:
        """End with stems.

        Raises
        ------
        LeaseLost
            If the job has gone to another or has ended.
        """
        self._check_fence(fence)
        done = JobProgress(phase="done", fraction=1.0, eta_seconds=0.0, playable_samples=playable_samples)
        return self._end(JobState.SUCCEEDED, now, outcome=outcome, progress=done, failure=None)

    def fail(self, fence: int, now: datetime, failure: Failure) -> Self:
        """End with a reason.

        Raises
        ------
        LeaseLost
            If the job has gone to another or has ended.
        """
        self._check_fence(fence)
        return self._end(JobState.FAILED, now, failure=failure)

    def confirm_cancel(self, fence: int, now: datetime) -> Self:
        """End because somebody asked for it.

        Raises
        ------
        LeaseLost
            If the job has gone to another or has ended.
        """
        self._check_fence(fence)
        return self._end(JobState.CANCELLED, now)

    def request_cancel(self, now: datetime) -> Self:
        """Cancel at once if nobody has it; else ask its worker to stop.

        Raises
        ------
        InvalidTransition
            If it has ended otherwise. Cancelling twice is harmless.
        """
        if self.state is JobState.QUEUED:
            return self._end(JobState.CANCELLED, now)
        if self.state is JobState.RUNNING:
            return attrs.evolve(self, cancel_requested=True)
        return self if self.state is JobState.CANCELLED else self._to(JobState.CANCELLED)

    def give_back(self, fence: int, now: datetime) -> Self:
        """Put it back unharmed, as a worker does that is told to shut down; the attempt does not count.

        Raises
        ------
        LeaseLost
            If the job has gone to another or has ended.
        """
        self._check_fence(fence)
        return self._requeue(now, attempts=self.attempts - 1)

    def retry(self, fence: int, now: datetime, failure: Failure, max_attempts: int) -> Self:
        """Put it back after a fault of the surroundings, or fail with it if that was the last attempt.

        Raises
        ------
        LeaseLost
            If the job has gone to another or has ended.
        """
        self._check_fence(fence)
        return self._try_again(now, failure, max_attempts)

    def lose(self, now: datetime, max_attempts: int, exit_code: int | None = None) -> Self:
        """Take it from a worker that is gone: back to the queue, or failed after the last attempt.

        Parameters
        ----------
        now : datetime
            The moment.
        max_attempts : int
            Claims that may end so.
        exit_code : int, optional
            How the worker's process ended, where somebody saw it.

        Raises
        ------
        InvalidTransition
            If nobody has it.
        """
        return self._try_again(now, Failure.from_error(self._describe_loss(exit_code)), max_attempts)

    def mark_enqueued(self, now: datetime) -> Self:
        """Remember that a message was handed to the queue."""
        return attrs.evolve(self, enqueued_at=now)

    def _describe_loss(self, exit_code: int | None) -> WorkerLost:
        facts = {"job_id": self.id, "attempts": self.attempts}
        if exit_code == KILLED:
            return OutOfMemory(
                f"the worker was killed (exit code {KILLED}) in attempt {self.attempts}: usually memory has run out",
                hint="give the worker more memory, or choose a smaller model",
                **facts,
            )
        return WorkerLost(
            f"the worker disappeared in attempt {self.attempts}",
            hint="try again; if it comes back, the worker's machine needs a look (memory, restarts)",
            **facts,
        )

    def _try_again(self, now: datetime, failure: Failure, max_attempts: int) -> Self:
        if self.cancel_requested:
            return self._end(JobState.CANCELLED, now)
        if self.attempts >= max_attempts:
            return self._end(JobState.FAILED, now, failure=failure)
        return self._requeue(now, failure=failure)

    def _requeue(self, now: datetime, **changes: Any) -> Self:
        return self._to(JobState.QUEUED, lease_until=None, enqueued_at=now, progress=JobProgress(), **changes)

    def _end(self, state: JobState, now: datetime, **changes: Any) -> Self:
        return self._to(state, lease_until=None, finished_at=now, **changes)

    def _check_fence(self, fence: int) -> None:
        if self.state is not JobState.RUNNING or self.fence != fence:
            raise LeaseLost(
                f"job {self.id} is {self.state.value} with fence {self.fence}: fence {fence} has no say", job_id=self.id
            )

    def _to(self, state: JobState, **changes: Any) -> Self:
        if state not in TRANSITIONS[self.state]:
            raise InvalidTransition(
                f"job {self.id} cannot go from {self.state.value} to {state.value}",
                job_id=self.id,
                state=self.state.value,
                wanted=state.value,
            )
        return attrs.evolve(self, state=state, **changes)
