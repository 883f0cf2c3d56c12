"""Folders in which files are made before they are stored; what killed processes leave in them is swept by age."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from isomix.storage.door import as_storage_error


@contextmanager
def make_staging(parent: Path, prefix: str = "") -> Iterator[Path]:
    """Give a new folder inside another, which is made if need be; it is removed on exit.

    Raises
    ------
    StorageError
        If it cannot be made.
    """
    with as_storage_error(f"no staging folder can be made in {parent}", str(parent)):
        parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
    with folder as path:
        yield Path(path)


def sweep_staging(parent: Path, older_than: datetime, prefix: str = "") -> int:
    """Remove the staging folders inside another in which nothing was written since; return how many.

    Raises
    ------
    StorageError
        If they cannot be listed.
    """
    removed = 0
    with as_storage_error(f"staging folders of {parent} cannot be swept", str(parent)):
        for folder in parent.glob(f"{prefix}*"):
            if folder.is_dir() and not folder.is_symlink() and _last_touched(folder) < older_than:
                shutil.rmtree(folder, ignore_errors=True)  # another user's stays
                removed += not folder.exists()
    return removed


def _last_touched(folder: Path) -> datetime:
    """Return when a folder or anything in it was last written: a long job adds to a file, not to its folder."""
    latest = 0.0
    for path in (folder, *folder.rglob("*")):
        with suppress(FileNotFoundError):  # its owner is just removing it
            latest = max(latest, path.lstat().st_mtime)
    return datetime.fromtimestamp(latest, UTC)
