"""Files that can be made again: whole and as they were written, or as good as absent.

A file is what was cached and its digest behind it. It comes under another name and is moved into place, so that one
that was not finished is never read; one that was damaged does not fit its digest.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = hashlib.sha256().digest_size
UNUSED_SECONDS = 90 * 24 * 3600.0
"""Files nobody has read for so long are taken away: those of other versions, which no name leads to any more."""
ABANDONED_SECONDS = 24 * 3600.0

_TEMPORARY = ".partial-"


def read_cached(path: Path) -> NDArray[np.uint8] | None:
    """Map what was cached in a file into memory.

    Parameters
    ----------
    path : Path
        Written by `write_cached`.

    Returns
    -------
    ndarray of shape (bytes,), uint8, or None
        None if there is no such file, or it is damaged. The file is not written, whatever is done to the array.
    """
    try:
        content = np.memmap(path, np.uint8, "c")
    except (OSError, ValueError):  # ValueError: the file is empty
        return None
    cached, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(cached.data).digest() != digest.tobytes():
        return None
    with suppress(OSError):
        path.touch()
    return cached


def write_cached(path: Path, content: memoryview) -> None:
    """Cache something in a file; where that is not possible, it is left undone.

    Parameters
    ----------
    path : Path
        A file there is replaced; the folder need not exist.
    content : memoryview
        What to cache.
    """
    temporary = path.with_name(f"{_TEMPORARY}{uuid4().hex}")
    # A folder that cannot be written costs the time to make the content again, but works.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as stream:
                stream.write(content)
                stream.write(hashlib.sha256(content).digest())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sweep(path.parent, f"{_TEMPORARY}*", ABANDONED_SECONDS)
        _sweep(path.parent, f"*{path.suffix}", UNUSED_SECONDS)


def _sweep(folder: Path, pattern: str, seconds: float) -> None:
    for path in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()
