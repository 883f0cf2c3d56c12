"""What a message may be: an id, on a route. Nothing that somebody could have written into either gets further."""

from __future__ import annotations

import re

from isomix.errors import QueueError, QueueUnavailable

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def is_id(text: object) -> bool:
    """Tell whether something is an id: up to 64 letters, digits, ``-`` and ``_``.

    Examples
    --------
    >>> is_id("5f0c"), is_id("two words"), is_id(5)
    (True, False, False)
    """
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def check_message(job_id: str, route: str) -> None:
    """Refuse what is not an id, for a job or for a route.

    Parameters
    ----------
    job_id : str
        The message.
    route : str
        Which workers may take it.

    Raises
    ------
    QueueError
        If either is not an id.
    """
    _check(job_id, "job id")
    check_route(route)


def check_route(route: str) -> None:
    """Refuse what is no name of a route.

    Raises
    ------
    QueueError
        If it is not one.
    """
    _check(route, "route")


def make_closed_error(name: str) -> QueueUnavailable:
    """Return the error of a queue that was closed and takes nothing any more."""
    return QueueUnavailable(f"the {name} queue is closed", queue=name)


def _check(text: str, what: str) -> None:
    if not is_id(text):
        raise QueueError(f"{text!r:.100} is no {what}", hint="a message is an id, and nothing else")
