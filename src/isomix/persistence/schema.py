"""The schema's versions: Alembic, driven with a connection that is already inside a transaction."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from isomix.errors import PersistenceError

_MIGRATIONS = Path(__file__).with_name("migrations")
_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps what it is doing in a module, so that a process can do one migration at a time."""


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, in the connection's transaction, which the caller commits.

    Parameters
    ----------
    connection : Connection
        Inside a transaction that keeps others from doing the same.

    Raises
    ------
    PersistenceError
        If the schema belongs to a newer isomix.
    """
    with _ONE_AT_A_TIME:
        config = _config()
        if _current(connection) - _known(config):
            raise _too_new()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check(connection: Connection, url: str) -> None:
    """Compare the schema's version with the newest there is.

    Raises
    ------
    PersistenceError
        If they differ.
    """
    config, current = _config(), _current(connection)
    if current - _known(config):
        raise _too_new()
    newest = set(ScriptDirectory.from_config(config).get_heads())
    if current != newest:
        version = f"schema {', '.join(sorted(current))}" if current else "no tables"
        raise PersistenceError(
            f"the database {url} has {version}; this isomix wants schema {', '.join(sorted(newest))}",
            hint="run `isomix db upgrade`",
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _known(config: Config) -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _current(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())


def _too_new() -> PersistenceError:
    return PersistenceError("the database's schema belongs to a newer isomix", hint="upgrade isomix on this machine")
