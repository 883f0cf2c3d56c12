"""What SQLite does beyond the contract of every database."""

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from tests.unit.persistence.processes import FORK, WRITE_AND_WAIT

from isomix.domain.worker import Worker
from isomix.errors import PersistenceError
from isomix.persistence import open_database, sqlite
from isomix.testing.records import MOMENT, after, make_job, make_project, make_stem, store


@pytest.fixture
def database(tmp_path):
    """A database with its tables."""
    database = open_database(f"sqlite:///{tmp_path}/isomix.db")
    database.upgrade()
    yield database
    database.close()


@contextmanager
def statements_of(database):
    """Collect the statements that are executed, with their values; beginnings apart."""
    seen = []

    def remember(connection, cursor, statement, values, context, executemany):
        if not statement.startswith("BEGIN"):
            seen.append((statement, values))

    event.listen(database.engines.read, "before_cursor_execute", remember)
    yield seen
    event.remove(database.engines.read, "before_cursor_execute", remember)


def explain(path, statement, values):
    """What SQLite says of how it answers a query."""
    with sqlite3.connect(path) as connection:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


def test_a_status_is_two_queries(database):
    """A status, with stems, queue and worker, takes two statements."""
    store(database, make_project(), make_job())
    with database.begin() as unit:
        unit.stems.replace("p", [make_stem(position=position) for position in range(4)])
        unit.workers.beat(Worker(id="w", routes=("default",), seen_at=after(1)))
        unit.commit()
    with statements_of(database) as seen, database.read() as unit:
        status = unit.projects.get_status("p", workers_seen_after=MOMENT)
    assert len(status.stems) == 4
    assert (status.queue_position, status.worker_online) == (0, True)
    assert len(seen) == 2


QUERIES = {
    "get_status": lambda unit: unit.projects.get_status("p", workers_seen_after=MOMENT),
    "get_project": lambda unit: unit.projects.get("p"),
    "list_owned": lambda unit: unit.projects.list_owned("o", limit=9),
    "list_owned_before": lambda unit: unit.projects.list_owned("o", limit=9, before=MOMENT),
    "list_created_before": lambda unit: unit.projects.list_created_between(None, MOMENT, limit=9),
    "list_created_between": lambda unit: unit.projects.list_created_between(MOMENT, after(1), limit=9),
    "find_existing": lambda unit: unit.projects.find_existing(["p", "q"]),
    "get_job": lambda unit: unit.jobs.get("p-job"),
    "list_of_project": lambda unit: unit.jobs.list_of_project("p"),
    "list_expired": lambda unit: unit.jobs.list_expired(MOMENT, limit=9),
    "list_queued": lambda unit: unit.jobs.list_queued(enqueued_before=MOMENT, limit=9),
    "count_queued": lambda unit: unit.jobs.count_queued("default"),
    "count_active": lambda unit: unit.jobs.count_active("o"),
    "find_equal": lambda unit: unit.jobs.find_equal("o", "f"),
    "list_stems": lambda unit: unit.stems.list_of_project("p"),
    "get_usage": lambda unit: unit.usage.get("o", "p"),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_queries_use_indexes(database, tmp_path, query):
    """No query looks at every row of a table; all that list the few workers apart."""
    store(database, make_project(), make_job())
    with statements_of(database) as seen, database.read() as unit:
        query(unit)
    assert seen
    for statement, values in seen:
        plan = explain(tmp_path / "isomix.db", statement, values)
        assert any("SEARCH" in step for step in plan)
        assert not [step for step in plan if "SCAN" in step and "CONSTANT ROW" not in step], plan


def test_commits_reach_the_disk_and_references_hold(database):
    """Each connection syncs every commit and enforces foreign keys; the file keeps a write-ahead log."""
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    with database.engines.write.connect() as connection:
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert values == ["wal", 2, 1, 10_000]


def test_many_threads_read(database):
    """More threads than there are kept connections read at once, and every one is answered."""
    store(database, make_project(), make_job())

    def read(_):
        with database.read() as unit:
            return unit.projects.get_status("p", workers_seen_after=MOMENT).project.id

    with ThreadPoolExecutor(100) as pool:
        assert set(pool.map(read, range(400))) == {"p"}


def test_a_locked_file_is_told(tmp_path, monkeypatch):
    """Who waits too long for another process's transaction is told so, and its work can be done later."""
    monkeypatch.setattr(sqlite, "_WAIT_SECONDS", 0.1)
    database = open_database(f"sqlite:///{tmp_path}/isomix.db")
    database.upgrade()
    other = sqlite3.connect(tmp_path / "isomix.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(PersistenceError, match="locked"):
        store(database, make_project(), make_job())
    other.execute("ROLLBACK")
    other.close()
    store(database, make_project(), make_job())
    database.close()


def test_a_file_that_is_no_database(tmp_path):
    """A file of something else is refused by isomix's error, and stays as it is."""
    (tmp_path / "notes.txt").write_text("not a database" * 100)
    database = open_database(f"sqlite:///{tmp_path}/notes.txt")
    for ask in (database.upgrade, database.check, lambda: store(database, make_project())):
        with pytest.raises(PersistenceError, match="not a database"):
            ask()
    database.close()
    assert (tmp_path / "notes.txt").read_text() == "not a database" * 100


def test_a_killed_writer_leaves_nothing(database):
    """A process that is killed inside a unit of work has changed nothing and blocks nobody."""
    command = [sys.executable, "-c", WRITE_AND_WAIT, database.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    with database.read() as unit:
        assert not unit.projects.find_existing(["p"])
    store(database, make_project(), make_job())
    with database.read() as unit:
        assert unit.projects.get("p") == make_project()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork here")
def test_a_forked_child_has_its_own_connections(tmp_path):
    """Parent and forked child use one Database object, and neither disturbs the other's transactions."""
    subprocess.run([sys.executable, "-W", "error", "-c", FORK, f"sqlite:///{tmp_path}/isomix.db"], check=True)
