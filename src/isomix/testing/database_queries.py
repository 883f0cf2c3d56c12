"""The part of the database's contract that is about records and queries."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from isomix.domain.job import JobState
from isomix.domain.worker import Worker
from isomix.errors import JobNotFound, PersistenceError, ProjectNotFound
from isomix.ports import Database
from isomix.testing.records import MOMENT, after, make_full_job, make_job, make_project, make_stem, store


class QueryContract:
    """What is written comes back the same, and each query finds what it says and no more."""

    def test_records_come_back_the_same(self, ready: Database) -> None:
        """Projects and jobs come back with every field, full or empty."""
        bare = attrs.evolve(make_project("q").mixture, duration=None)
        projects = [make_project(job_id="p-job"), make_project("q", mixture=bare, version=7)]
        jobs = [make_full_job(), make_job("q")]
        store(ready, *projects, *jobs)
        with ready.read() as unit:
            assert [unit.jobs.get(job.id) for job in jobs] == jobs
            expected = [attrs.evolve(projects[0], job_state=JobState.RUNNING), projects[1]]
            assert [unit.projects.get(project.id) for project in expected] == expected

    def test_times_come_back_in_utc(self, ready: Database) -> None:
        """Whatever zone a moment was said in, it comes back in UTC, to the microsecond."""
        store(ready, make_project(created_at=after(0.000001)), make_job())
        with ready.read() as unit:
            created_at = unit.projects.get("p").created_at
        assert created_at - MOMENT == timedelta(microseconds=1)
        assert created_at.utcoffset() == timedelta(0)
        assert ready.now().utcoffset() == timedelta(0)

    def test_saving_writes_every_field(self, ready: Database) -> None:
        """A save writes all that can change about a job and a project."""
        store(ready, make_project(), make_job())
        changed = attrs.evolve(make_full_job(), version=0)
        with ready.begin() as unit:
            unit.jobs.save(changed)
            unit.projects.save(make_project(name="new", job_id="p-job"))
            unit.commit()
        with ready.read() as unit:
            assert unit.jobs.get("p-job") == attrs.evolve(changed, version=1)
            assert unit.projects.get("p").name == "new"

    def test_what_is_not_there_is_not_found(self, ready: Database) -> None:
        """Asking for unknown ids raises, and the error names the id."""
        with ready.read() as unit:
            with pytest.raises(ProjectNotFound) as error:
                unit.projects.get("nobody's")
            assert error.value.facts["project_id"] == "nobody's"
            with pytest.raises(ProjectNotFound):
                unit.projects.get_status("nobody's", workers_seen_after=MOMENT)
            with pytest.raises(JobNotFound) as missing:
                unit.jobs.get("nobody's")
            assert missing.value.facts["job_id"] == "nobody's"

    def test_a_project_tells_its_latest_jobs_state(self, ready: Database) -> None:
        """A project's state is that of the job it names, wherever it is read; of its other jobs it says nothing."""
        failed, done = JobState.FAILED, JobState.SUCCEEDED
        store(ready, make_project(), make_job(state=failed), make_job(id="old", state=done))
        with ready.read() as unit:
            assert unit.projects.get("p").job_state is failed
            assert unit.projects.list_owned("Zoë", limit=9)[0].job_state is failed
            assert unit.projects.list_created_between(None, after(1), limit=9)[0].job_state is failed

    def test_list_owned(self, ready: Database) -> None:
        """An owner's projects come newest first, page by page, and nobody else's."""
        store(ready, make_project("x", owner="other"))
        store(ready, *(make_project(f"p{i}", created_at=after(i)) for i in (2, 0, 3, 1)))
        with ready.read() as unit:
            first = unit.projects.list_owned("Zoë", limit=3)
            rest = unit.projects.list_owned("Zoë", limit=3, before=first[-1].created_at)
            assert [project.id for project in first + rest] == ["p3", "p2", "p1", "p0"]
            assert unit.projects.list_owned("nobody", limit=3) == []

    def test_list_created_between(self, ready: Database) -> None:
        """Anybody's projects come oldest first, later than one moment and earlier than the other, up to a limit."""
        store(ready, *(make_project(f"p{i}", owner=str(i), created_at=after(i)) for i in (2, 0, 3, 1)))

        with ready.read() as unit:
            old = unit.projects.list_created_between(None, after(3), limit=2)
            assert [project.id for project in old] == ["p0", "p1"]
            between = unit.projects.list_created_between(old[-1].created_at, after(3), limit=2)
            assert [project.id for project in between] == ["p2"]

    def test_find_existing(self, ready: Database) -> None:
        """Of many ids, those of projects are found."""
        store(ready, make_project("p"), make_project("q"))
        with ready.read() as unit:
            assert unit.projects.find_existing([*(f"no-{i}" for i in range(1200)), "q"]) == {"q"}
            assert unit.projects.find_existing([]) == set()

    def test_list_of_project(self, ready: Database) -> None:
        """A project's jobs come oldest first."""
        jobs = [make_job(id=f"j{i}", created_at=after(i)) for i in (1, 0, 2)]
        store(ready, make_project(), *jobs, make_project("q"), make_job("q"))
        with ready.read() as unit:
            assert [job.id for job in unit.jobs.list_of_project("p")] == ["j0", "j1", "j2"]

    def test_list_expired(self, ready: Database) -> None:
        """Running jobs whose lease is over come, the oldest lease first; queued and ended ones do not."""
        running = [make_job(id=f"r{i}", state=JobState.RUNNING, lease_until=after(i)) for i in (2, 0, 1, 9)]
        others = [make_job(id="queued"), make_job(id="done", state=JobState.FAILED, lease_until=after(0))]
        store(ready, make_project(), *running, *others)
        with ready.read() as unit:
            assert [job.id for job in unit.jobs.list_expired(after(9), limit=9)] == ["r0", "r1", "r2"]
            assert [job.id for job in unit.jobs.list_expired(after(9), limit=2)] == ["r0", "r1"]

    def test_list_queued(self, ready: Database) -> None:
        """Queued jobs come by the age of their message; newer messages and jobs that are not queued do not."""
        queued = [make_job(id=f"q{i}", created_at=after(-i), enqueued_at=after(i)) for i in (2, 0, 1, 9)]
        store(ready, make_project(), *queued, make_job(id="running", state=JobState.RUNNING))
        with ready.read() as unit:
            assert [job.id for job in unit.jobs.list_queued(enqueued_before=after(9), limit=9)] == ["q0", "q1", "q2"]
            assert [job.id for job in unit.jobs.list_queued(enqueued_before=after(9), limit=1)] == ["q0"]

    def test_counts(self, ready: Database) -> None:
        """Queued jobs are counted by route, active ones by owner."""
        states = [make_job(id=state.value, state=state) for state in JobState]
        store(ready, make_project(), *states, make_job(id="a", route="gpu"), make_job(id="b", owner="other"))
        with ready.read() as unit:
            assert [unit.jobs.count_queued(route) for route in ("default", "gpu", "none")] == [2, 1, 0]
            assert [unit.jobs.count_active(owner) for owner in ("Zoë", "other", "nobody")] == [3, 1, 0]

    def test_find_equal(self, ready: Database) -> None:
        """The newest succeeded job of an owner and fingerprint is found while its stems are there."""
        done = JobState.SUCCEEDED
        others: list[dict[str, object]] = [{"owner": "other"}, {"fingerprint": "g"}, {"state": JobState.FAILED}]
        for i, changes in enumerate([{}, {}, *others, {}]):
            facts: dict[str, object] = {"state": done, "created_at": after(i)}
            store(ready, make_project(f"p{i}"), make_job(f"p{i}", **(facts | changes)))
            with ready.begin() as unit:
                unit.stems.replace(f"p{i}", [make_stem(f"p{i}", position) for position in range(2)])
                unit.commit()
        with ready.begin() as unit:
            unit.stems.replace("p5", [])
            found = unit.jobs.find_equal("Zoë", "f")
            assert found is not None
            assert found.id == "p1-job"
            assert unit.jobs.find_equal("Zoë", "h") is None
            assert unit.jobs.find_equal("nobody", "f") is None

    def test_stems_are_replaced(self, ready: Database) -> None:
        """Stems come back the same, by position, and a new set takes the place of the whole former one."""
        store(ready, make_project(), make_job(), make_project("q"), make_job("q"))
        with ready.begin() as unit:
            unit.stems.replace("q", [make_stem("q")])
            unit.stems.replace("p", [make_stem(position=position) for position in (2, 0, 1)])
            unit.stems.replace("p", [make_stem(position=1), make_stem(position=0, id="new")])
            unit.commit()
        with ready.begin() as unit:
            assert unit.stems.list_of_project("p") == [make_stem(position=0, id="new"), make_stem(position=1)]
            assert unit.stems.list_of_project("q") == [make_stem("q")]
            with pytest.raises(PersistenceError):
                unit.stems.replace("p", [make_stem(id="a"), make_stem(id="b")])

    def test_status_tells_everything(self, ready: Database) -> None:
        """A status has the project, its latest job and its stems in order."""
        store(ready, make_project(), make_full_job())
        stems = [make_stem(position=position) for position in range(3)]
        with ready.begin() as unit:
            unit.stems.replace("p", stems)
            unit.commit()
        with ready.read() as unit:
            status = unit.projects.get_status("p", workers_seen_after=MOMENT)
        assert status.project == make_project(job_state=JobState.RUNNING)
        assert status.job == make_full_job()
        assert status.stems == tuple(stems)
        assert status.queue_position is None
        assert not status.worker_online

    def test_queue_position(self, ready: Database) -> None:
        """The position counts queued jobs of the route that are older, ids breaking ties, and nothing else."""
        for name, second in [("c", 2), ("a", 1), ("b", 1), ("d", 3)]:
            store(ready, make_project(name), make_job(name, created_at=after(second)))
        store(ready, make_project("gpu"), make_job("gpu", route="gpu"))
        store(ready, make_project("r"), make_job("r", state=JobState.RUNNING))
        with ready.read() as unit:
            statuses = [unit.projects.get_status(name, workers_seen_after=MOMENT) for name in (*"abcdr", "gpu")]
        assert [status.queue_position for status in statuses] == [0, 1, 2, 3, None, 0]

    def test_worker_online(self, ready: Database) -> None:
        """A worker is online for the routes that it serves, until it has been silent since the moment given."""
        store(ready, make_project(), make_job(route="gpu"))
        with ready.begin() as unit:
            unit.workers.beat(Worker(id="cpu", routes=("default",), seen_at=after(10)))
            assert not unit.projects.get_status("p", workers_seen_after=MOMENT).worker_online
            unit.workers.beat(Worker(id="gpu", routes=("default", "gpu"), seen_at=after(5)))
            assert unit.projects.get_status("p", workers_seen_after=MOMENT).worker_online
            assert not unit.projects.get_status("p", workers_seen_after=after(5)).worker_online
            unit.workers.beat(Worker(id="gpu", routes=("default",), seen_at=after(6)))
            assert not unit.projects.get_status("p", workers_seen_after=MOMENT).worker_online

    def test_workers(self, ready: Database) -> None:
        """Workers are remembered as they last spoke, by id, until they say good-bye or have been silent."""
        first = Worker(id="a", routes=("z", "b"), seen_at=MOMENT)
        second = Worker(id="b", routes=("b",), seen_at=MOMENT + timedelta(seconds=2), job_id="j")
        spoken = attrs.evolve(first, seen_at=MOMENT + timedelta(seconds=1), job_id="k")
        with ready.begin() as unit:
            for worker in (second, first, spoken):
                unit.workers.beat(worker)
            assert unit.workers.list_seen_after(MOMENT) == [spoken, second]
            assert unit.workers.list_seen_after(spoken.seen_at) == [second]
            unit.workers.delete_seen_before(second.seen_at)
            assert unit.workers.list_seen_after(MOMENT) == [second]
            unit.workers.delete("b")
            unit.workers.delete("b")
            assert unit.workers.list_seen_after(MOMENT) == []

    def test_usage_counts(self, ready: Database) -> None:
        """Uploads are counted by owner and period; spending tells how many there were before."""
        with ready.begin() as unit:
            assert [unit.usage.spend("o", "2026-01") for _ in range(3)] == [0, 1, 2]
            assert unit.usage.spend("o", "2026-02") == unit.usage.spend("x", "2026-01") == 0
            unit.commit()
        with ready.read() as unit:
            assert [unit.usage.get(*key) for key in [("o", "2026-01"), ("o", "2026-02"), ("y", "2026-01")]] == [3, 1, 0]
