"""Where projects, jobs and stems are remembered: in memory, in SQLite or in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from isomix.errors import InvalidOptions, PersistenceError
from isomix.ports import Database

_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


def open_database(url: str) -> Database:
    """Return the database of a URL. Nothing is connected before it is asked something.

    Parameters
    ----------
    url : str
        ``"memory://"`` (each call gives a new, empty one; a name after it is for people), ``"sqlite:///FILE"`` (an
        absolute file has four slashes; ``~`` is the home folder) or ``"postgresql://USER:PASSWORD@HOST/NAME"``.

    Raises
    ------
    InvalidOptions
        If the URL is none of these.
    PersistenceError
        If what the database needs is not installed.

    Examples
    --------
    >>> with open_database("memory://").read() as unit:
    ...     unit.jobs.count_active("somebody")
    0
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "memory":
        from isomix.persistence.memory import MemoryDatabase

        return MemoryDatabase(url)
    if separator and scheme == "sqlite":
        return _open_sqlite(url, rest)
    if separator and scheme in _POSTGRES:
        return _open_postgres(rest)
    raise InvalidOptions(
        f"{scheme}:// is no database that isomix knows" if separator else f"{url!r} is not a database's URL",
        hint="there are memory://, sqlite:///FILE and postgresql://USER:PASSWORD@HOST/NAME",
        option="database",
        value=scheme,
    )


def _open_sqlite(url: str, rest: str) -> Database:
    if not rest.startswith("/") or rest in ("/", "/:memory:"):
        raise InvalidOptions(
            f"{url!r} names no file",
            hint="write sqlite:///FILE, or memory:// for one that is forgotten",
            option="database",
            value=url,
        )
    try:
        from isomix.persistence.sqlite import SqliteDatabase
    except ImportError as error:
        raise _missing(error, "studio") from error
    return SqliteDatabase(Path(rest[1:]).expanduser().absolute())


def _open_postgres(rest: str) -> Database:
    try:
        from isomix.persistence.postgres import PostgresDatabase
    except ImportError as error:
        raise _missing(error, "postgres") from error
    return PostgresDatabase(f"postgresql+psycopg://{rest}")


def _missing(error: ImportError, extra: str) -> PersistenceError:
    return PersistenceError(
        f"this database needs a package that is not installed: {error}", hint=f'pip install "isomix[{extra}]"'
    )
