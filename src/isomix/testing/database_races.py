"""The part of the database's contract that is about many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from isomix.domain.job import JobState
from isomix.errors import ConcurrentUpdate, InvalidTransition
from isomix.ports import Database
from isomix.testing.records import MOMENT, make_job, make_project, store

_THREADS = 8
_UPLOADS, _QUOTA = 20, 50
Result = TypeVar("Result")


def run_at_once(function: Callable[[int], Result]) -> list[Result]:
    """Call a function with 0, 1, ... in as many threads, all of which start together; return what they return."""
    barrier = threading.Barrier(_THREADS, timeout=30)

    def run(number: int) -> Result:
        barrier.wait()
        return function(number)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(run, range(_THREADS)))


class RaceContract:
    """Whoever comes at once, the outcome is as if they had come one after the other."""

    def test_a_quota_is_never_overspent(self, ready: Database) -> None:
        """Of many that spend at once, exactly as many commit as the quota allows."""

        def spend(_: int) -> int:
            committed = 0
            for _ in range(_UPLOADS):
                with ready.begin() as unit:
                    if unit.usage.spend("o", "2026-01") < _QUOTA:
                        unit.commit()
                        committed += 1
            return committed

        assert sum(run_at_once(spend)) == _QUOTA
        with ready.read() as unit:
            assert unit.usage.get("o", "2026-01") == _QUOTA

    def test_a_job_is_claimed_once(self, ready: Database) -> None:
        """Of many that claim a job at once, exactly one gets it, and the stored job is the winner's."""
        store(ready, make_project(), make_job())

        def claim(number: int) -> str | None:
            try:
                with ready.begin() as unit:
                    job = unit.jobs.get("p-job").claim(f"w{number}", MOMENT, timedelta(seconds=30))
                    unit.jobs.save(job)
                    unit.commit()
            except (InvalidTransition, ConcurrentUpdate):
                return None
            return job.worker

        winners = [worker for worker in run_at_once(claim) if worker]
        with ready.read() as unit:
            job = unit.jobs.get("p-job")
        assert winners == [job.worker]
        assert (job.state, job.fence, job.version) == (JobState.RUNNING, 1, 1)

    def test_many_upgrade_at_once(self, database: Database) -> None:
        """A new database that many upgrade and write at once is whole, and nothing is lost."""

        def upgrade_and_write(number: int) -> None:
            database.upgrade()
            database.check()
            store(database, make_project(f"p{number}"), make_job(f"p{number}"))

        run_at_once(upgrade_and_write)
        with database.read() as unit:
            assert len(unit.projects.list_owned(make_project().owner, limit=99)) == _THREADS
