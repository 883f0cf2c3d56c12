"""How bytes move to and from an fsspec file system: what is particular about some of them is told here."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import fsspec
from fsspec.core import url_to_fs

from isomix.errors import InvalidOptions, StorageError
from isomix.storage.door import as_storage_error

S3 = frozenset({"s3", "s3a"})
BUCKETS = S3 | {"gs", "gcs", "az", "abfs", "abfss"}
ATOMIC = BUCKETS | {"memory"}
"""Protocols whose objects appear when their last byte has come; elsewhere half a file can be seen."""

_MEMORY = "memory"
_BLOCK = 2 << 20
_BUFFER = 64 << 10
_PART = 8 << 20
_PARTS_AT_ONCE = 4
_SIGNED_AT_MOST_SECONDS = 7 * 24 * 3600
_AGES = ("LastModified", "last_modified", "mtime", "updated", "created")
_EXTRAS = {"s3": "s3", "s3a": "s3", "http": "http", "https": "http"}


def open_system(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Return a file system that nobody else uses, and the path of a URL in it.

    Raises
    ------
    InvalidOptions
        If there is no such protocol, no bucket is named, or the file system has no such options.
    StorageError
        If a package is missing.
    """
    protocol = url.partition("://")[0]
    if "::" in url or protocol not in fsspec.available_protocols():
        raise InvalidOptions(
            f"there is no storage at {url}: {protocol!r} is no protocol of fsspec's",
            hint="name a folder, s3://BUCKET/PREFIX, gs://BUCKET, memory://NAME, ...",
            option="storage",
            value=url,
        )
    given = _complete_s3(options) if protocol in S3 else options
    with as_storage_error(f"{url} cannot be opened", url):
        try:
            system, root = url_to_fs(url, **given, skip_instance_cache=True)
        except ImportError as error:
            package = f'isomix[{_EXTRAS[protocol]}]"' if protocol in _EXTRAS else ""
            hint = f'pip install "{package}' if package else f"install what {protocol} needs: {error}"
            raise StorageError(f"{url} needs a package that is not installed", hint=hint, path=url) from error
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidOptions(f"{url} cannot be opened so: {error}", option="storage", value=url) from error
    if protocol in BUCKETS and not root.strip("/"):
        raise InvalidOptions(f"{url} names no bucket", hint=f"{protocol}://BUCKET/PREFIX", option="storage", value=url)
    return system, root.rstrip("/")


def _complete_s3(options: Mapping[str, Any]) -> dict[str, Any]:
    """Add what keeps memory flat, and today's signatures: boto still signs addresses as S3 did until 2014."""
    config = {"signature_version": "s3v4", **(options.get("config_kwargs") or {})}
    return {"default_block_size": _BLOCK, "max_concurrency": 1, **options, "config_kwargs": config}


def upload(system: Any, protocol: str, local: Path, path: str) -> None:
    """Send a local file, a few parts at a time."""
    if protocol == _MEMORY:  # its put_file shows the file while it grows
        system.pipe_file(path, local.read_bytes())
    elif protocol in S3:
        system.put_file(str(local), path, chunksize=_PART, max_concurrency=_PARTS_AT_ONCE)
    else:
        system.put_file(str(local), path)


def download(system: Any, protocol: str, path: str, local: Path) -> None:
    """Fetch a file in one pass, so that a replacement is not mixed into it."""
    if protocol == _MEMORY:
        with open_file(system, protocol, path) as source, local.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
    else:
        system.get_file(path, str(local))


def open_file(system: Any, protocol: str, path: str) -> BinaryIO:
    """Return a file that is read in blocks as they are asked for."""
    if protocol == _MEMORY:  # its files have one position for all their readers
        return io.BytesIO(system.cat_file(path))
    file = system.open(path, "rb", block_size=_BLOCK)
    if getattr(file, "details", {}).get("type") == "directory":  # to S3, what other keys start with
        file.close()
        raise IsADirectoryError(path)
    return io.BufferedReader(_Reader(file, path), _BUFFER)


def sign(system: Any, protocol: str, path: str, expires_seconds: float, filename: str) -> str | None:
    """Return an address where anybody can fetch a file, or None where there is no such thing."""
    if protocol not in S3:
        return None
    seconds = int(min(max(expires_seconds, 1), _SIGNED_AT_MOST_SECONDS))
    return str(system.sign(path, expiration=seconds, ResponseContentDisposition=make_disposition(filename)))


def make_disposition(filename: str) -> str:
    """Return the header that makes a browser save a download under a name (RFC 6266).

    Examples
    --------
    >>> print(make_disposition("Größe.flac"))
    attachment; filename="Gr__e.flac"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.flac
    """
    filename = "".join(c if c.isprintable() else "_" for c in filename)
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%/' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"


def get_age(facts: Mapping[str, Any]) -> datetime:
    """Return when a file was written, in UTC; now if its system does not tell, so that nothing is swept by guess."""
    found = next((facts[name] for name in _AGES if facts.get(name) not in (None, "")), None)
    if isinstance(found, int | float):
        return datetime.fromtimestamp(found, UTC)
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    if not isinstance(found, datetime):
        return datetime.now(UTC)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class _Reader(io.RawIOBase):
    """A remote file whose library's exceptions are translated, also while it is being read."""

    def __init__(self, file: Any, path: str) -> None:
        self._file, self._path = file, path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with as_storage_error(f"{self._path} cannot be read on", self._path):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
