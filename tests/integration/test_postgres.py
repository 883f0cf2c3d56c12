"""What PostgreSQL does beyond the contract of every database."""

import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text
from tests.unit.persistence.processes import FORK, WRITE_AND_WAIT

from isomix.errors import ConcurrentUpdate, PersistenceError
from isomix.persistence import open_database
from isomix.persistence import postgres as adapter
from isomix.persistence.tables import metadata
from isomix.testing.records import MOMENT, make_job, make_project, make_stem, store


@pytest.fixture
def database(postgres_url):
    """A database with its tables."""
    database = open_database(postgres_url)
    database.upgrade()
    yield database
    database.close()


def test_migrations_make_the_tables(database):
    """A migrated database has exactly the tables, columns, indexes and keys that the code declares."""
    with database.engines.read.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_status_is_two_queries_on_indexes(database):
    """A status, with stems, takes two statements, which the server can answer from indexes alone."""
    store(database, make_project(), make_job())
    with database.begin() as unit:
        unit.stems.replace("p", [make_stem(position=position) for position in range(4)])
        unit.commit()
    seen = []
    engine = database.engines.read

    @event.listens_for(engine, "before_cursor_execute")
    def remember(connection, cursor, statement, values, context, executemany):
        seen.append((statement, values))

    with database.read() as unit:
        assert len(unit.projects.get_status("p", workers_seen_after=MOMENT).stems) == 4
    assert len(seen) == 2
    with engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))  # tables of a page are read whole otherwise
        for statement, values in seen[:2]:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars().all()
            assert re.search("Index.*Scan", "\n".join(plan))
            assert "Seq Scan" not in "\n".join(plan)


def test_two_open_units_do_not_overwrite_each_other(database):
    """Of two units of work that have read the same job, the one that saves later is refused."""
    store(database, make_project(), make_job())
    with database.begin() as first, database.begin() as second:
        mine, yours = first.jobs.get("p-job"), second.jobs.get("p-job")
        first.jobs.save(attrs.evolve(mine, worker="first"))
        first.commit()
        with pytest.raises(ConcurrentUpdate):
            second.jobs.save(attrs.evolve(yours, worker="second"))
    with database.read() as unit:
        assert unit.jobs.get("p-job").worker == "first"


def test_a_deadlock_is_a_concurrent_update(database):
    """Of two units of work that wait for each other, the server stops one, which is told to read again."""
    store(database, make_project("p"), make_project("q"))
    both_hold_one = threading.Barrier(2, timeout=30)

    def save_both(names):
        with database.begin() as unit:
            first, second = (unit.projects.get(name) for name in names)
            unit.projects.save(first)
            both_hold_one.wait()
            unit.projects.save(second)
            unit.commit()

    with ThreadPoolExecutor(2) as pool:
        errors = [future.exception() for future in [pool.submit(save_both, names) for names in ("pq", "qp")]]
    assert sorted(type(error).__name__ for error in errors) == ["ConcurrentUpdate", "NoneType"]
    assert any(error and "deadlock" in error.message for error in errors)
    with database.read() as unit:
        assert unit.projects.get("p").version == unit.projects.get("q").version == 1


def test_dropped_connections_heal(database, postgres, postgres_url):
    """After the server has cut every connection, the next units of work get new ones."""
    store(database, make_project(), make_job())
    assert postgres.terminate_connections(postgres_url) >= 1
    with database.read() as unit:
        assert unit.projects.get("p") == make_project()
    postgres.terminate_connections(postgres_url)
    store(database, make_project("q"), make_job("q"))


def test_a_connection_that_drops_in_the_middle(database, postgres, postgres_url):
    """A unit of work whose connection is cut ends with isomix's error and without changes; the next one works."""
    with database.begin() as unit:
        unit.projects.add(make_project())
        postgres.terminate_connections(postgres_url)
        with pytest.raises(PersistenceError):
            unit.commit()
    with database.begin() as unit:  # cut without being noticed: leaving is silent, for nothing was to stay
        unit.projects.add(make_project())
        postgres.terminate_connections(postgres_url)
    with database.read() as unit:
        assert not unit.projects.find_existing(["p"])


def test_a_killed_writer_leaves_nothing(database, postgres_url):
    """A process that is killed inside a unit of work has changed nothing, and its locks go with it."""
    command = [sys.executable, "-c", WRITE_AND_WAIT, postgres_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    store(database, make_project(), make_job())
    with database.read() as unit:
        assert unit.projects.get("p") == make_project()


def test_a_forked_child_has_its_own_connections(postgres_url):
    """Parent and forked child use one Database object, and neither disturbs the other's transactions."""
    subprocess.run([sys.executable, "-W", "error", "-c", FORK, postgres_url], check=True)


def test_the_servers_clock_counts(database, monkeypatch):
    """A machine whose clock is an hour fast gets the server's time."""

    class Fast(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + timedelta(hours=1)

    monkeypatch.setattr(adapter, "datetime", Fast)
    assert abs(database.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_servers_clock_is_asked_once_a_minute(database, monkeypatch):
    """Between two measurements the time costs no query."""
    asked = []

    @event.listens_for(database.engines.read, "before_cursor_execute")
    def remember(connection, cursor, statement, values, context, executemany):
        asked.append(statement)

    database.now()
    once = len(asked)
    assert once
    database.now()
    assert len(asked) == once
    monkeypatch.setattr(adapter, "_CLOCK_SECONDS", 0.0)
    database.now()
    assert len(asked) == 2 * once


def test_a_database_without_tables_is_told(postgres_url):
    """Using a database that was never upgraded says what to do."""
    with closing(open_database(postgres_url)) as database:
        for ask in (database.check, lambda: store(database, make_project())):
            with pytest.raises(PersistenceError) as error:
                ask()
            assert error.value.hint == "run `isomix db upgrade`"


def test_nobody_waits_for_ever(database):
    """A paused process loses its transaction, and who waits for a lock gives up, after some seconds."""
    for engine in (database.engines.write, database.engines.read):
        with engine.connect() as connection:
            settings = ("lock_timeout", "idle_in_transaction_session_timeout")
            assert [connection.execute(text(f"SHOW {name}")).scalar() for name in settings] == ["10s", "15s"]


def test_an_unreachable_server_is_told():
    """Where no server listens, every question gets isomix's error, which does not hold the password."""
    with closing(open_database("postgresql://u:secret@127.0.0.1:1/name")) as database:
        for ask in (database.check, database.upgrade, database.now, lambda: store(database, make_project())):
            with pytest.raises(PersistenceError) as error:
                ask()
            assert "secret" not in str(error.value)
