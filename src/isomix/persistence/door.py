"""The door through which what SQLAlchemy and its drivers raise leaves as isomix's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from isomix.errors import ConcurrentUpdate, PersistenceError

_LOST_RACES = ("40001", "40P01")
"""PostgreSQL's serialization failure and deadlock: somebody else changed the same records."""
_HINTS = {
    "42P01": "run `isomix db upgrade`",
    "42703": "run `isomix db upgrade`",
    "no such table": "run `isomix db upgrade`",
    "no such column": "run `isomix db upgrade`",
    "55P03": "another process holds it for too long",
    "locked": "another process holds it for too long",
}
"""Remedies by PostgreSQL's codes and by what SQLite's messages contain."""


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise what SQLAlchemy raises inside as `PersistenceError`, or `ConcurrentUpdate` where it is that.

    Parameters
    ----------
    url : str
        Of the database, without a password.
    """
    try:
        yield
    except DBAPIError as error:
        # the driver's own words: SQLAlchemy adds the statement and its values, which are the owners' business
        reason = str(error.orig).strip().partition("\n")[0]
        code = getattr(error.orig, "sqlstate", None) or reason
        if code in _LOST_RACES:
            raise ConcurrentUpdate(f"somebody else changed the same records in {url}: {reason}", id="") from error
        hint = next((hint for sign, hint in _HINTS.items() if sign in code), "")
        raise PersistenceError(f"the database {url} failed: {reason}", hint=hint) from error
    except SQLAlchemyError as error:
        raise PersistenceError(f"the database {url} failed: {error}") from error
