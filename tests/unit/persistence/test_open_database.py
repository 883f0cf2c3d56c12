"""A database is named by its URL."""

import subprocess
import sys
from pathlib import Path

import pytest

from isomix.errors import InvalidOptions, PersistenceError
from isomix.persistence import open_database


def test_memory_needs_no_sqlalchemy():
    """The in-memory database works without anything that a bare installation does not have."""
    script = """
import sys
from isomix.persistence import open_database
with open_database("memory://").begin() as unit:
    unit.usage.spend("o", "p")
    unit.commit()
sys.exit(bool({"sqlalchemy", "alembic", "psycopg"} & set(sys.modules)))
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_each_memory_is_its_own():
    """Two in-memory databases of one name share nothing."""
    first, second = open_database("memory://name"), open_database("memory://name")
    with first.begin() as unit:
        unit.usage.spend("o", "p")
        unit.commit()
    with second.read() as unit:
        assert unit.usage.get("o", "p") == 0
    assert first.url == "memory://name"


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite", "", "/a/file.db", "sqlite://", "sqlite:///:memory:"])
def test_other_urls_are_refused(url):
    """A URL that names no database of a known kind is refused, and the error tells which there are."""
    with pytest.raises(InvalidOptions, match="sqlite:///FILE") as error:
        open_database(url)
    assert error.value.facts["option"] == "database"


def test_a_broken_postgres_url_is_refused_without_its_password():
    """A URL that cannot be read is refused, and the error does not repeat it."""
    with pytest.raises(InvalidOptions) as error:
        open_database("postgresql://u:secret@host:port/name")
    assert "secret" not in f"{error.value} {error.value.facts}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgres_url_is_shown_without_its_password(scheme):
    """Whatever the scheme is called, people see the address and no password; nothing is connected yet."""
    database = open_database(f"{scheme}://u:secret@host:1/name")
    assert database.url == "postgresql://u:***@host:1/name"


def test_a_file_is_found_in_the_home_folder(tmp_path, monkeypatch):
    """``~`` is the home folder, and missing folders are made when the database is first used."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    database = open_database("sqlite:///~/new/isomix.db")
    database.upgrade()
    database.close()
    assert (tmp_path / "new" / "isomix.db").is_file()
    assert database.url == f"sqlite:///{Path(tmp_path, 'new', 'isomix.db')}"


def test_a_relative_file_stays_where_it_was(tmp_path, monkeypatch):
    """A relative file is one of the folder that was current when the database was opened."""
    monkeypatch.chdir(tmp_path)
    database = open_database("sqlite:///isomix.db")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    database.upgrade()
    database.close()
    assert (tmp_path / "isomix.db").is_file()


@pytest.mark.parametrize(
    ("url", "missing", "extra"),
    [
        ("sqlite:///x.db", "sqlalchemy", "studio"),
        ("sqlite:///x.db", "alembic", "studio"),
        ("postgresql://host/name", "psycopg", "postgres"),
    ],
)
def test_a_missing_package_is_named(url, missing, extra):
    """Without what a database needs, opening it tells what to install."""
    script = f"""
import sys
sys.modules[{missing!r}] = None
from isomix.errors import PersistenceError
from isomix.persistence import open_database
try:
    open_database({url!r})
except PersistenceError as error:
    print(error.hint)
"""
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == f'pip install "isomix[{extra}]"'


def test_a_folder_that_cannot_be_made(tmp_path):
    """Where a file is in the way of the database's folder, the error is isomix's."""
    (tmp_path / "file").touch()
    with pytest.raises(PersistenceError, match="file"):
        open_database(f"sqlite:///{tmp_path}/file/isomix.db").check()
