"""Jobs: states, fences, attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from isomix.domain.job import ACTIVE, KILLED, TRANSITIONS, Failure, Job, JobProgress, JobState, Outcome
from isomix.domain.recipe import Recipe
from isomix.errors import InvalidTransition, JobTimedOut, LeaseLost

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def make_job() -> Job:
    return Job(
        id="j", project_id="p", owner="o", recipe=Recipe("hpss"), fingerprint="f", created_at=NOW, enqueued_at=NOW
    )


def test_a_job_that_ends_well_passes_through_running() -> None:
    """Claimed, beaten, succeeded: it knows its worker, its fence and its outcome, and its lease is over."""
    job = make_job().claim("w", NOW, LEASE).beat(1, NOW + LEASE, LEASE, JobProgress(fraction=0.5))
    assert (job.state, job.fence, job.lease_until) == (JobState.RUNNING, 1, NOW + 2 * LEASE)
    done = job.succeed(1, NOW, Outcome(device="cpu"), 100)
    assert (done.state, done.lease_until, done.progress.fraction) == (JobState.SUCCEEDED, None, 1.0)
    assert done.progress.playable_samples == 100


@pytest.mark.parametrize("state", [state for state in JobState if state not in ACTIVE])
def test_terminal_states_have_no_exits(state: JobState) -> None:
    """What has ended cannot be claimed, and says so with its id and state."""
    assert TRANSITIONS[state] == frozenset()
    ended = {
        JobState.SUCCEEDED: lambda job: job.succeed(1, NOW, Outcome(), 0),
        JobState.FAILED: lambda job: job.fail(1, NOW, Failure("c", "m")),
        JobState.CANCELLED: lambda job: job.confirm_cancel(1, NOW),
    }[state](make_job().claim("w", NOW, LEASE))
    with pytest.raises(InvalidTransition) as caught:
        ended.claim("w", NOW, LEASE)
    assert (caught.value.facts["job_id"], caught.value.facts["state"]) == ("j", state.value)


def test_a_worker_whose_lease_went_to_another_has_no_say() -> None:
    """Every late word of the first worker is refused once the second has claimed."""
    first = make_job().claim("first", NOW, LEASE)
    second = first.lose(NOW, 3).claim("second", NOW, LEASE)
    for late in (
        lambda: second.beat(first.fence, NOW, LEASE, JobProgress()),
        lambda: second.succeed(first.fence, NOW, Outcome(), 0),
        lambda: second.fail(first.fence, NOW, Failure("c", "m")),
        lambda: second.give_back(first.fence, NOW),
        lambda: second.confirm_cancel(first.fence, NOW),
        lambda: second.retry(first.fence, NOW, Failure("c", "m"), 3),
    ):
        with pytest.raises(LeaseLost):
            late()


def test_the_third_lost_worker_is_the_last() -> None:
    """A job that kills workers fails instead of going round for ever, and tells why."""
    job = make_job()
    for _ in range(2):
        job = job.claim("w", NOW, LEASE).lose(NOW, 3)
        assert job.state is JobState.QUEUED
    job = job.claim("w", NOW, LEASE).lose(NOW, 3)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "worker_lost"


def test_a_kill_by_the_kernel_is_called_out_of_memory() -> None:
    """Exit code 137 has a name that people understand."""
    job = make_job().claim("w", NOW, LEASE).lose(NOW, 1, KILLED)
    assert job.failure is not None
    assert job.failure.code == "out_of_memory"
    assert "137" in job.failure.message


def test_giving_a_job_back_costs_no_attempt() -> None:
    """A polite shutdown, however often, is not a lost worker; the fence rises all the same."""
    job = make_job()
    for _ in range(5):
        running = job.claim("w", NOW, LEASE)
        job = running.give_back(running.fence, NOW)
    assert (job.attempts, job.fence, job.state) == (0, 5, JobState.QUEUED)


def test_cancelling() -> None:
    """A waiting job is cancelled at once, a running one is asked to, a cancelled one stays, a finished one refuses."""
    waiting = make_job()
    assert waiting.request_cancel(NOW).state is JobState.CANCELLED
    running = waiting.claim("w", NOW, LEASE)
    asked = running.request_cancel(NOW)
    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)
    cancelled = asked.confirm_cancel(1, NOW)
    assert cancelled.request_cancel(NOW) is cancelled
    with pytest.raises(InvalidTransition):
        running.succeed(1, NOW, Outcome(), 0).request_cancel(NOW)


def test_a_cancelled_job_whose_worker_dies_is_cancelled() -> None:
    """Nobody starts again what was called off."""
    asked = make_job().claim("w", NOW, LEASE).request_cancel(NOW)
    assert asked.lose(NOW, 3).state is JobState.CANCELLED


def test_a_failure_tells_isomixs_errors_by_code_and_hides_the_rest() -> None:
    """An owner reads code, message and hint, but no inner detail of a stranger's exception."""
    known = Failure.from_error(JobTimedOut("too long", hint="be quick", job_id="j"))
    assert known == Failure("job_timed_out", "too long", "be quick")
    assert "secret" not in Failure.from_error(RuntimeError("secret path")).message


class JobMachine(RuleBasedStateMachine):
    """Any order of claims, beats, losses and ends, by workers that may be late."""

    def __init__(self) -> None:
        super().__init__()
        self.job = make_job()
        self.successes = 0

    def step(self, change: object) -> None:
        before = self.job
        try:
            self.job = change(self.job)  # type: ignore[operator]
        except (InvalidTransition, LeaseLost):
            assert self.job == before
            return
        assert self.job.state is before.state or self.job.state in TRANSITIONS[before.state]
        self.successes += before.state is not JobState.SUCCEEDED and self.job.state is JobState.SUCCEEDED

    @rule()
    def claim(self) -> None:
        self.step(lambda job: job.claim("w", NOW, LEASE))

    @rule(age=st.integers(0, 2))
    def beat(self, age: int) -> None:
        self.step(lambda job: job.beat(job.fence - age, NOW, LEASE, JobProgress()))

    @rule(age=st.integers(0, 2))
    def succeed(self, age: int) -> None:
        self.step(lambda job: job.succeed(job.fence - age, NOW, Outcome(), 1))

    @rule(age=st.integers(0, 2))
    def give_back(self, age: int) -> None:
        self.step(lambda job: job.give_back(job.fence - age, NOW))

    @rule()
    def lose(self) -> None:
        self.step(lambda job: job.lose(NOW, 3))

    @rule()
    def cancel(self) -> None:
        self.step(lambda job: job.request_cancel(NOW))

    @invariant()
    def succeeds_at_most_once_and_is_never_tried_too_often(self) -> None:
        assert self.successes <= 1
        assert 0 <= self.job.attempts <= 3
        assert (self.job.lease_until is not None) == (self.job.state is JobState.RUNNING)


TestAnyOrder = JobMachine.TestCase
TestAnyOrder.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
