"""Objects at an fsspec URL: sent whole and verified, under their key at once where that is atomic."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from isomix.domain.keys import make_id
from isomix.errors import IntegrityError, ObjectNotFound, StorageError
from isomix.ports import ObjectInfo, ObjectStore
from isomix.storage import staging, transfer
from isomix.storage.door import ABSENT, as_storage_error, check_object_key, check_prefix, check_size, is_key, probe

_STAGING_PREFIX = "isomix-staging-"
_UNFINISHED = ".staging"
_PASSES = 3
_PASSWORD = re.compile(r"://([^/@:]*):[^/@]*@")


class RemoteStore(ObjectStore):
    """An fsspec URL as a store; threads and forked processes may share it.

    Parameters
    ----------
    url : str
        Such as ``"s3://BUCKET/PREFIX"``.
    options : mapping
        Keyword arguments of the file system.

    Raises
    ------
    InvalidOptions
        If there is no such protocol, or it has no such options.
    StorageError
        If a package is missing.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = _PASSWORD.sub(r"://\1:***@", url)
        self._address, self._options = url, dict(options)
        self._protocol = url.partition("://")[0]
        system, self._root = transfer.open_system(url, options)
        self._systems = {os.getpid(): system}

    def put_file(self, key: str, path: Path) -> None:
        """Send a file, verify its size and delete it here."""
        target = self._locate(check_object_key(key))
        with self._storing(key):
            size = path.stat().st_size
            with self._appearing(target) as place:
                transfer.upload(self._system, self._protocol, path, place)
                self._verify(key, place, size)
            path.unlink()

    def put_bytes(self, key: str, data: bytes) -> None:
        """Send bytes and verify their number."""
        target = self._locate(check_object_key(key))
        with self._storing(key), self._appearing(target) as place:
            self._system.pipe_file(place, data)
            self._verify(key, place, len(data))

    def open(self, key: str) -> BinaryIO:
        """Return a file that fetches blocks as they are asked for."""
        path = self._locate(check_object_key(key))
        with self._reading(key):
            return transfer.open_file(self._fresh(), self._protocol, path)

    @contextmanager
    def local_file(self, key: str, sha256: str | None = None) -> Iterator[Path]:
        """Give a verified copy of an object, which is gone on exit."""
        source = self._locate(check_object_key(key))
        with self.make_staging() as folder:
            copy = folder / key.rpartition("/")[2]
            with self._reading(key):
                size = self.get_info(key).size_bytes
                transfer.download(self._system, self._protocol, source, copy)
                check_size(key, size, copy.stat().st_size)
                _check_digest(key, copy, sha256)
            yield copy

    def get_info(self, key: str) -> ObjectInfo:
        """Return size and age."""
        path = self._locate(check_object_key(key))
        with self._reading(key):
            facts = self._fresh().info(path)
        if facts["type"] != "file":
            raise ObjectNotFound(f"there is no object {key}", path=key)
        return ObjectInfo(key, facts["size"], transfer.get_age(facts))

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects of a prefix."""
        return self._list(check_prefix(prefix))

    def copy_prefix(self, source: str, target: str) -> None:
        """Copy objects inside the store, several at a time where it can, and verify their sizes."""
        check_prefix(target)
        keys = {target + info.key.removeprefix(source): info for info in self.list_objects(source)}
        if not keys:
            raise ObjectNotFound(f"there are no objects in {source}", path=source)
        with self._storing(target):
            if self._protocol not in transfer.ATOMIC:
                for folder in {key.rpartition("/")[0] for key in keys}:
                    self._system.makedirs(self._locate(folder), exist_ok=True)
            self._system.copy([self._locate(info.key) for info in keys.values()], [self._locate(key) for key in keys])
        copied = {info.key: info.size_bytes for info in self.list_objects(target)}
        for key, info in keys.items():
            check_size(key, info.size_bytes, copied.get(key, 0))

    def delete_prefix(self, prefix: str) -> None:
        """Delete the objects of a prefix, many at a time where that can be done."""
        for _ in range(_PASSES):
            keys = [info.key for info in self.list_objects(prefix)]
            if not keys:
                return
            with as_storage_error(f"{prefix} cannot be deleted from {self.url}", prefix):
                self._remove([self._locate(key) for key in keys])
        remaining = sum(1 for _ in self.list_objects(prefix))
        if remaining:  # s3fs says nothing of those that S3 refuses to delete
            raise StorageError(f"{remaining} objects of {prefix} cannot be deleted from {self.url}", path=prefix)

    def delete(self, key: str) -> None:
        """Delete an object."""
        path = self._locate(check_object_key(key))
        with as_storage_error(f"{key} cannot be deleted from {self.url}", key), suppress(*ABSENT):
            self._system.rm_file(path)

    def sign_url(self, key: str, expires_seconds: float, filename: str) -> str | None:
        """Return a signed address on S3, None elsewhere."""
        path = self._locate(check_object_key(key))
        with as_storage_error(f"{key} cannot be signed", key):
            return transfer.sign(self._system, self._protocol, path, expires_seconds, filename)

    @contextmanager
    def make_staging(self) -> Iterator[Path]:
        """Give a new folder on this machine."""
        with staging.make_staging(Path(tempfile.gettempdir()), _STAGING_PREFIX) as folder:
            yield folder

    def sweep_staging(self, older_than: datetime) -> int:
        """Remove staging folders of this machine and unfinished files of the store."""
        removed = staging.sweep_staging(Path(tempfile.gettempdir()), older_than, _STAGING_PREFIX)
        if self._protocol in transfer.ATOMIC:
            return removed
        with as_storage_error(f"unfinished files of {self.url} cannot be swept", self.url):
            for path, facts in self._find(f"{self._root}/{_UNFINISHED}").items():
                if transfer.get_age(facts) < older_than:
                    self._system.rm_file(path)
                    removed += 1
        return removed

    def check(self) -> None:
        """Write, read and delete a small object, or raise."""
        probe(self)

    def close(self) -> None:
        """Let go of this process's connections; using the store again opens new ones."""
        self._systems.pop(os.getpid(), None)

    @property
    def _system(self) -> Any:
        """The file system of this process: connections do not survive a fork."""
        system = self._systems.get(os.getpid())
        if system is None:  # of two threads that come here at once, both use what the first has opened
            system = self._systems.setdefault(os.getpid(), transfer.open_system(self._address, self._options)[0])
        return system

    def _fresh(self) -> Any:
        """Return the file system without what it remembers of listings: others write as well."""
        system = self._system
        system.invalidate_cache()
        return system

    def _locate(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        with as_storage_error(f"{prefix} cannot be listed in {self.url}", prefix):
            found = self._find(self._locate(prefix.removesuffix("/")))
        for path, facts in found.items():
            key = path.removeprefix(f"{self._root}/")
            if facts["type"] == "file" and key.startswith(prefix) and is_key(key):
                yield ObjectInfo(key, facts["size"], transfer.get_age(facts))

    def _find(self, path: str) -> dict[str, Any]:
        with suppress(FileNotFoundError):
            return dict(self._fresh().find(path, detail=True))
        return {}

    def _remove(self, paths: list[str]) -> None:
        if getattr(self._system, "async_impl", False):
            with suppress(FileNotFoundError):  # somebody else was first; the next pass sees what is left
                self._system.rm(paths)
            return
        for path in paths:
            with suppress(FileNotFoundError):  # somebody else was first
                self._system.rm_file(path)

    @contextmanager
    def _appearing(self, target: str) -> Iterator[str]:
        """Give the path to write to; on success the file is at its target, otherwise nowhere."""
        atomic = self._protocol in transfer.ATOMIC
        place = target if atomic else f"{self._root}/{_UNFINISHED}/{make_id()}"
        try:
            if not atomic:
                self._system.makedirs(f"{self._root}/{_UNFINISHED}", exist_ok=True)
                self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
            yield place
            if not atomic:
                self._system.mv(place, target)
        except BaseException as error:
            if not atomic or isinstance(error, IntegrityError):  # a failed atomic put has left the old object alone
                with suppress(Exception):  # the first error is the one to tell
                    self._system.rm_file(place)
            raise

    def _verify(self, key: str, path: str, size: int) -> None:
        check_size(key, size, self._fresh().info(path)["size"])

    def _storing(self, key: str) -> AbstractContextManager[None]:
        return as_storage_error(f"{key} cannot be stored in {self.url}", key)

    def _reading(self, key: str) -> AbstractContextManager[None]:
        return as_storage_error(f"{key} cannot be read from {self.url}", key, reading=True)


def _check_digest(key: str, path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256.lower():
        raise IntegrityError(f"{key} has the SHA-256 {digest} instead of {sha256}", path=key)
