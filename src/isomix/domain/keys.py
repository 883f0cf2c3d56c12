"""Object keys: made of ids and numbers, never of anything a user wrote.

::

    projects/<project>/mixture.<kind>
    projects/<project>/<job>-<fence>/stems/<position>.<format>
    projects/<project>/<job>-<fence>/peaks/<position>.json
    projects/<project>/<job>-<fence>/preview/<position>/<segment>.flac

Each attempt at a job has a folder of its own, so that a worker that wakes too late writes beside the stems that
count, never over them.
"""

from __future__ import annotations

import re
import secrets

from isomix.errors import StorageError

PROJECTS = "projects/"
_PART = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9]+)?")


def make_id() -> str:
    """Return a new id: 128 random bits, of lower-case letters and digits, safe in keys and addresses."""
    return secrets.token_hex(16)


def check_key(key: str) -> str:
    """Return a key or a prefix as it is, if it is one that this file could have made.

    Raises
    ------
    StorageError
        If it could lead out of the store: it has ``..``, an empty part, a backslash or any other odd character.

    Examples
    --------
    >>> check_key("projects/ab12/mixture.wav")
    'projects/ab12/mixture.wav'
    >>> check_key("projects/../secret")
    Traceback (most recent call last):
    isomix.errors.StorageError: 'projects/../secret' is not an object key
    """
    parts = key.removesuffix("/").split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise StorageError(f"{key!r} is not an object key", path=key)
    return key


def project_prefix(project_id: str) -> str:
    """Return what every key of a project starts with."""
    return check_key(f"{PROJECTS}{project_id}/")


def mixture_key(project_id: str, kind: str) -> str:
    """Return the key of an uploaded recording."""
    return check_key(f"{project_prefix(project_id)}mixture.{kind}")


def attempt_name(job_id: str, fence: int) -> str:
    """Return the name of one attempt at a job."""
    return f"{job_id}-{fence}"


def attempt_prefix(project_id: str, attempt: str) -> str:
    """Return what every key of one attempt starts with."""
    return check_key(f"{project_prefix(project_id)}{attempt}/")


def stem_key(attempt: str, position: int, file_format: str) -> str:
    """Return the key of a stem, given its attempt's prefix."""
    return check_key(f"{attempt}stems/{position}.{file_format}")


def peaks_key(attempt: str, position: int) -> str:
    """Return the key of a stem's waveform peaks, given its attempt's prefix."""
    return check_key(f"{attempt}peaks/{position}.json")


def preview_key(attempt: str, position: int, segment: int) -> str:
    """Return the key of a preview segment of a stem, given its attempt's prefix."""
    return check_key(f"{attempt}preview/{position}/{segment:05}.flac")


def split_key(key: str) -> tuple[str, str]:
    """Return the project's id and the attempt's folder (empty for the mixture) that a key lies in.

    Examples
    --------
    >>> split_key("projects/p/j-1/stems/0.flac"), split_key("projects/p/mixture.wav")
    (('p', 'j-1'), ('p', ''))
    """
    project_id, _, rest = key.removeprefix(PROJECTS).partition("/")
    folder, slash, _ = rest.partition("/")
    return project_id, folder if slash else ""
