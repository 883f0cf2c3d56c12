"""The migrations make the tables that the code uses."""

import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from isomix.errors import PersistenceError
from isomix.persistence import open_database
from isomix.persistence.tables import metadata


@pytest.fixture
def database(tmp_path):
    """A database without tables."""
    database = open_database(f"sqlite:///{tmp_path}/isomix.db")
    yield database
    database.close()


def execute(tmp_path, statement):
    """Run a statement from outside isomix."""
    connection = sqlite3.connect(tmp_path / "isomix.db")
    with connection:
        rows = connection.execute(statement).fetchall()
    connection.close()
    return rows


def test_migrations_make_the_tables(database):
    """A migrated database has exactly the tables, columns, indexes and keys that the code declares."""
    database.upgrade()
    with database.engines.read.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_without_tables_is_told(database):
    """Checking a database that was never upgraded says what to do, and so does using it."""
    with pytest.raises(PersistenceError, match="no tables") as checked:
        database.check()
    with database.read() as unit, pytest.raises(PersistenceError) as used:
        unit.jobs.count_active("o")
    assert checked.value.hint == used.value.hint == "run `isomix db upgrade`"
    assert used.value.__cause__ is not None


def test_a_newer_schema_is_left_alone(database, tmp_path):
    """A database of a newer isomix is neither checked as good nor changed."""
    database.upgrade()
    database.check()
    execute(tmp_path, "UPDATE alembic_version SET version_num = 'future'")
    for ask in (database.check, database.upgrade):
        with pytest.raises(PersistenceError, match="newer isomix"):
            ask()
    assert execute(tmp_path, "SELECT version_num FROM alembic_version") == [("future",)]


def test_a_failed_migration_leaves_nothing(database, tmp_path):
    """A migration that fails half-way has changed nothing, and works once its obstacle is gone."""
    execute(tmp_path, "CREATE TABLE workers (mine)")
    with pytest.raises(PersistenceError, match="workers"):
        database.upgrade()
    assert execute(tmp_path, "SELECT name FROM sqlite_master WHERE type = 'table'") == [("workers",)]
    execute(tmp_path, "DROP TABLE workers")
    database.upgrade()
    database.check()
