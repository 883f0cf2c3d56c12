"""Objects in a folder of this machine, each a file: made in ``.staging``, brought to the disk, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from isomix.errors import ObjectNotFound, StorageError
from isomix.ports import ObjectInfo, ObjectStore
from isomix.storage import staging
from isomix.storage.door import as_storage_error, check_object_key, check_prefix, check_size, is_key, probe

_STAGING = ".staging"
_ATTEMPTS = 100


class FolderStore(ObjectStore):
    """A folder as a store; several processes may use it at once.

    Parameters
    ----------
    folder : path
        It is made with the first object.

    Raises
    ------
    StorageError
        If there is a file at that place.
    """

    def __init__(self, folder: Path) -> None:
        with as_storage_error(f"{folder} cannot be a store", str(folder)):
            self._root = folder.expanduser().resolve()
            if self._root.exists() and not self._root.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "it is a file", str(folder))
        self.url = str(self._root)

    def put_file(self, key: str, path: Path) -> None:
        """Store a file by renaming it, or by copying it where it lies on another disk."""
        target = self._locate(check_object_key(key))
        with self._storing(key):
            if not self._take(path, target):
                with self.make_staging() as folder:
                    copy = folder / "object"
                    shutil.copyfile(path, copy)
                    check_size(key, path.stat().st_size, copy.stat().st_size)
                    _publish(copy, target)
                path.unlink()

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store bytes."""
        target = self._locate(check_object_key(key))
        with self._storing(key), self.make_staging() as folder:
            file = folder / "object"
            file.write_bytes(data)
            _publish(file, target)

    def open(self, key: str) -> BinaryIO:
        """Return the object's file, open for reading; it stays what it was if the object is replaced."""
        path = self._locate(check_object_key(key))
        with self._reading(key):
            return path.open("rb")

    @contextmanager
    def local_file(self, key: str, sha256: str | None = None) -> Iterator[Path]:  # noqa: ARG002 - it is no copy
        """Give the object's own file, which must not be changed."""
        path = self._locate(check_object_key(key))
        self.get_info(key)
        yield path

    def get_info(self, key: str) -> ObjectInfo:
        """Return size and age."""
        path = self._locate(check_object_key(key))
        with self._reading(key):
            facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise ObjectNotFound(f"there is no object {key}", path=key)
        return _describe(key, facts)

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the files in the folder of a prefix, by key."""
        return self._walk(self._locate(check_prefix(prefix)), prefix)

    def copy_prefix(self, source: str, target: str) -> None:
        """Give each object a second name: objects are replaced, never edited, so both can share their bytes."""
        check_prefix(target)
        infos = list(self.list_objects(source))
        if not infos:
            raise ObjectNotFound(f"there are no objects in {source}", path=source)
        with self._storing(target), self.make_staging() as folder:
            for position, info in enumerate(infos):
                link = folder / str(position)
                _link(self._locate(info.key), link)
                _publish(link, self._locate(target + info.key.removeprefix(source)))

    def delete_prefix(self, prefix: str) -> None:
        """Take the folder of a prefix away at once, then delete what is in it."""
        path = self._locate(check_prefix(prefix))
        with as_storage_error(f"{prefix} cannot be deleted from {self.url}", prefix):
            if path.is_dir():
                with self.make_staging() as folder, suppress(FileNotFoundError):  # somebody else was first
                    path.rename(folder / "deleted")
                self._prune(path)

    def delete(self, key: str) -> None:
        """Delete a file, and the folders that it leaves empty."""
        path = self._locate(check_object_key(key))
        with as_storage_error(f"{key} cannot be deleted from {self.url}", key):
            if path.is_file():
                path.unlink(missing_ok=True)
                self._prune(path)

    def sign_url(self, key: str, expires_seconds: float, filename: str) -> None:  # noqa: ARG002 - nobody serves a folder
        """Return None: a folder has no addresses."""
        check_object_key(key)

    @contextmanager
    def make_staging(self) -> Iterator[Path]:
        """Give a new folder on the store's own disk, so that storing is a rename."""
        with staging.make_staging(self._root / _STAGING) as folder:
            yield folder

    def sweep_staging(self, older_than: datetime) -> int:
        """Remove staging folders in which nothing was written since a moment."""
        return staging.sweep_staging(self._root / _STAGING, older_than)

    def check(self) -> None:
        """Write, read and delete a small object, or raise."""
        probe(self)

    def _locate(self, key: str) -> Path:
        """Return the path of a key; symbolic links inside the folder must not lead out of it."""
        path = self._root / key
        with as_storage_error(f"{key} cannot be found in {self.url}", key):
            if not path.resolve().is_relative_to(self._root):
                raise StorageError(f"{key} leads out of {self.url}", hint="remove the symbolic link", path=key)
        return path

    def _take(self, path: Path, target: Path) -> bool:
        """Store a file by a rename; False if it is no plain file or on another disk."""
        facts = path.lstat()
        self._root.mkdir(parents=True, exist_ok=True)
        if not stat.S_ISREG(facts.st_mode) or facts.st_dev != self._root.stat().st_dev:
            return False
        try:
            _publish(path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:  # two mounts of one disk
                raise
            return False
        return True

    def _walk(self, folder: Path, prefix: str) -> Iterator[ObjectInfo]:
        with as_storage_error(f"{prefix} cannot be listed in {self.url}", prefix):
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(folder / entry.name, f"{prefix}{entry.name}/")
            elif entry.is_file(follow_symlinks=False) and is_key(prefix + entry.name):
                with suppress(FileNotFoundError):  # deleted since
                    yield _describe(prefix + entry.name, entry.stat(follow_symlinks=False))

    def _prune(self, path: Path) -> None:
        """Remove the folders above a path that are empty now."""
        for folder in path.parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:  # it is not empty
                return

    def _storing(self, key: str) -> AbstractContextManager[None]:
        return as_storage_error(f"{key} cannot be stored in {self.url}", key)

    def _reading(self, key: str) -> AbstractContextManager[None]:
        return as_storage_error(f"{key} cannot be read from {self.url}", key, reading=True)


def _describe(key: str, facts: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))


def _link(source: Path, link: Path) -> None:
    try:
        link.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # this disk has no hard links, or no more for this file
        shutil.copyfile(source, link)


def _publish(file: Path, target: Path) -> None:
    """Bring a file to the disk and rename it; its age begins now, however old its bytes are."""
    os.utime(file)
    _sync(file)
    for attempt in range(_ATTEMPTS):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
            break
        except (FileNotFoundError, FileExistsError):  # somebody has just removed the empty folder, or does so now
            if attempt == _ATTEMPTS - 1 or not file.exists():
                raise
    _sync(target.parent)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, would outlive a power cut."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return  # Windows keeps names by itself
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
