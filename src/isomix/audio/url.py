"""What lies at fsspec URLs: the door where whatever a file system's library raises is translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from isomix.errors import IsomixError, StorageError

_REMEDIES: tuple[tuple[type[Exception], str], ...] = (
    (ImportError, 'pip install "isomix[s3]" or "isomix[http]"'),
    (FileNotFoundError, "does the bucket or folder exist?"),
    (PermissionError, "do the credentials allow it?"),
    (NotImplementedError, "that kind of place cannot be used so"),
    (Exception, "do the address, the credentials and the endpoint fit?"),
)


_CREDENTIALS = re.compile(r"(?<=://)[^/@]*@|\?.*", re.DOTALL)


def conceal(url: str) -> str:
    """Return a URL for messages: without name and password, and without a query, which may be a signature.

    Examples
    --------
    >>> conceal("https://user:secret@example.org/song.wav?signature=5f3a")
    'https://example.org/song.wav'
    """
    return _CREDENTIALS.sub("", url)


@contextmanager
def reaching(url: str, what: str) -> Iterator[None]:
    """Translate what comes from the other side of a URL.

    Parameters
    ----------
    url : str
        The place.
    what : str
        What is being done to it, as in ``"read"``.

    Raises
    ------
    StorageError
        With the cause chained.
    """
    try:
        yield
    except (IsomixError, MemoryError):
        raise
    except Exception as error:  # each fsspec library has exceptions of its own
        shown = conceal(url)
        reason = str(error).replace(url, shown) or type(error).__name__
        hint = next(remedy for kind, remedy in _REMEDIES if isinstance(error, kind))
        raise StorageError(f"{shown} cannot be {what}: {reason}", hint=hint, path=shown) from error
