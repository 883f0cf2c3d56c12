"""The contract of a database, as tests: a class of yours inherits `DatabaseContract` and says how to get one.

::

    class TestMyDatabase(DatabaseContract):
        @pytest.fixture
        def database(self):
            return MyDatabase(...)

It needs pytest, which isomix itself does not.
"""

from __future__ import annotations

import attrs
import pytest

from isomix.domain.job import JobState
from isomix.errors import ConcurrentUpdate, PersistenceError, ProjectNotFound
from isomix.ports import Database
from isomix.testing.database_queries import QueryContract
from isomix.testing.database_races import RaceContract
from isomix.testing.records import make_job, make_project, make_stem, store


class DatabaseContract(QueryContract, RaceContract):
    """What every database promises: units of work here, queries and races in the classes that this one inherits."""

    @pytest.fixture
    def database(self) -> Database:
        """Return a new database without anything in it, not even tables; each subclass has its own."""
        raise NotImplementedError("the class of a contract has a fixture called database")

    @pytest.fixture
    def ready(self, database: Database) -> Database:
        """Return the database with its tables."""
        database.upgrade()
        return database

    def test_nothing_stays_without_a_commit(self, ready: Database) -> None:
        """A unit of work that is left without a commit has changed nothing."""
        with ready.begin() as unit:
            unit.projects.add(make_project())
            unit.usage.spend("o", "2026-01")
        with ready.read() as unit:
            assert not unit.projects.find_existing(["p"])
            assert unit.usage.get("o", "2026-01") == 0

    def test_an_exception_rolls_back(self, ready: Database) -> None:
        """An exception inside a unit of work leaves as it is, and nothing was changed."""

        def fail() -> None:
            with ready.begin() as unit:
                unit.projects.add(make_project())
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            fail()
        with ready.begin() as unit:
            assert not unit.projects.find_existing(["p"])

    def test_a_commit_shows_everything_at_once(self, ready: Database) -> None:
        """Others see nothing of a unit of work before its commit, and all of it afterwards; itself sees it at once."""
        with ready.begin() as unit:
            unit.jobs.add(make_job())
            unit.projects.add(make_project())
            assert unit.projects.get("p").name == make_project().name
            with ready.read() as other:
                assert not other.projects.find_existing(["p"])
            unit.commit()
        with ready.read() as other:
            assert other.projects.get("p") == make_project()
            assert other.jobs.get("p-job").project_id == "p"

    def test_rollback_forgets_and_begins_anew(self, ready: Database) -> None:
        """After a rollback the unit of work goes on as if it had just begun."""
        with ready.begin() as unit:
            unit.projects.add(make_project("a"))
            unit.rollback()
            unit.projects.add(make_project("b"))
            unit.commit()
        with ready.read() as unit:
            assert unit.projects.find_existing(["a", "b"]) == {"b"}

    def test_a_committed_unit_is_over(self, ready: Database) -> None:
        """Nothing can be done in a unit of work after its commit."""
        with ready.begin() as unit:
            unit.commit()
            with pytest.raises(PersistenceError):
                unit.projects.add(make_project())
            with pytest.raises(PersistenceError):
                unit.commit()

    def test_a_reading_unit_cannot_write(self, ready: Database) -> None:
        """A unit of work that was begun for reading refuses changes."""
        with ready.read() as unit, pytest.raises(PersistenceError):
            unit.projects.add(make_project())

    def test_a_reader_sees_one_moment(self, ready: Database) -> None:
        """What is committed while a reader reads does not change what it reads, and waits for no reader."""
        store(ready, make_project(), make_job())
        with ready.read() as reader:
            before = reader.jobs.get("p-job")
            with ready.begin() as unit:
                unit.jobs.save(attrs.evolve(before, worker="w"))
                unit.commit()
            assert reader.jobs.get("p-job") == before
        with ready.read() as reader:
            assert reader.jobs.get("p-job").worker == "w"

    def test_readers_do_not_wait_for_a_writer(self, ready: Database) -> None:
        """While a unit of work has changed a job, others read its former state."""
        store(ready, make_project(), make_job())
        with ready.begin() as writer:
            writer.jobs.save(attrs.evolve(writer.jobs.get("p-job"), worker="w"))
            with ready.read() as reader:
                assert reader.projects.get_status("p", workers_seen_after=make_job().created_at).job.worker == ""
                assert [job.id for job in reader.jobs.list_of_project("p")] == ["p-job"]

    def test_saving_raises_the_version(self, ready: Database) -> None:
        """Each save raises the stored version by one; the record that was saved stays as it is."""
        store(ready, make_project(version=3), make_job())
        with ready.begin() as unit:
            project, job = unit.projects.get("p"), unit.jobs.get("p-job")
            unit.projects.save(attrs.evolve(project, name="new", owner="other"))
            unit.jobs.save(attrs.evolve(job, worker="w"))
            unit.commit()
        with ready.read() as unit:
            assert unit.projects.get("p") == attrs.evolve(project, name="new", owner="other", version=4)
            assert unit.jobs.get("p-job") == attrs.evolve(job, worker="w", version=1)

    def test_of_two_writers_the_second_is_told(self, ready: Database) -> None:
        """Who saves what somebody else has changed since gets ConcurrentUpdate, and none of its changes stay."""
        store(ready, make_project(), make_job())
        with ready.read() as reader:
            project, job = reader.projects.get("p"), reader.jobs.get("p-job")
        with ready.begin() as winner:
            winner.projects.save(project)
            winner.jobs.save(job)
            winner.commit()
        with ready.begin() as loser:
            loser.usage.spend("o", "2026-01")
            with pytest.raises(ConcurrentUpdate) as told:
                loser.jobs.save(job)
            assert told.value.facts["id"] == "p-job"
        with ready.begin() as loser, pytest.raises(ConcurrentUpdate):
            loser.projects.save(project)
        with ready.read() as reader:
            assert reader.usage.get("o", "2026-01") == 0

    def test_saving_what_is_gone(self, ready: Database) -> None:
        """Saving a record that is not there gets ConcurrentUpdate."""
        with ready.begin() as unit, pytest.raises(ConcurrentUpdate):
            unit.projects.save(make_project())
        with ready.begin() as unit, pytest.raises(ConcurrentUpdate):
            unit.jobs.save(make_job())

    def test_ids_are_unique(self, ready: Database) -> None:
        """A second record of an id is refused, and the first stays."""
        store(ready, make_project(), make_job())
        with pytest.raises(PersistenceError):
            store(ready, make_project(name="other"))
        with pytest.raises(PersistenceError):
            store(ready, make_job(worker="other"))
        with ready.read() as unit:
            assert unit.projects.get("p").name == make_project().name
            assert unit.jobs.get("p-job").worker == ""

    def test_a_job_has_a_project(self, ready: Database) -> None:
        """A job whose project is not there at the commit is refused, and so is a stem without a job."""
        with pytest.raises(PersistenceError):
            store(ready, make_project("q"), make_job("p"))
        with ready.begin() as unit:
            unit.projects.add(make_project())
            unit.stems.replace("p", [make_stem()])
            with pytest.raises(PersistenceError):
                unit.commit()
        with ready.read() as unit:
            assert not unit.projects.find_existing(["p", "q"])

    def test_deleting_takes_everything_along(self, ready: Database) -> None:
        """A project goes with its jobs and stems, others stay, and deleting it again is harmless."""
        for project_id in "pq":
            store(ready, make_project(project_id), make_job(project_id, state=JobState.SUCCEEDED))
            with ready.begin() as unit:
                unit.stems.replace(project_id, [make_stem(project_id)])
                unit.commit()
        for _ in range(2):
            with ready.begin() as unit:
                unit.projects.delete("p")
                unit.commit()
        with ready.read() as unit:
            with pytest.raises(ProjectNotFound):
                unit.projects.get("p")
            assert not unit.jobs.list_of_project("p")
            assert not unit.stems.list_of_project("p")
            assert len(unit.jobs.list_of_project("q")) == len(unit.stems.list_of_project("q")) == 1

    def test_upgrading_again_keeps_everything(self, ready: Database) -> None:
        """Upgrading a database that is up to date changes nothing."""
        store(ready, make_project(), make_job())
        ready.upgrade()
        ready.check()
        with ready.read() as unit:
            assert unit.projects.get("p") == make_project()

    def test_closing_twice(self, ready: Database) -> None:
        """Closing a database twice is harmless."""
        ready.close()
        ready.close()
