"""Where finished files appear: a folder on disk or an fsspec URL. All of them, or none under its final name."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import fsspec
import soundfile

from isomix.audio.url import reaching
from isomix.domain.keys import make_id
from isomix.errors import InvalidOptions, StorageError

_REMEDIES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "the folder may not be written",
    errno.EROFS: "the disk is read-only",
    errno.ENOTDIR: "name a folder, not a file",
    errno.EEXIST: "name a folder, not a file",
    errno.ENOENT: "there can be no folder at that place",
}


@contextmanager
def as_storage_error(place: str) -> Iterator[None]:
    """Translate what the disk and libsndfile raise while files are made for a folder or URL.

    Raises
    ------
    StorageError
        With the cause chained.
    """
    try:
        yield
    except StorageError:
        raise
    except (OSError, soundfile.SoundFileError) as error:
        raise StorageError(
            f"stems cannot be written to {place}: {error}",
            hint=_REMEDIES.get(getattr(error, "errno", 0), "is the disk full, or the folder read-only?"),
            path=place,
        ) from error


class Folder:
    """A folder on disk: files are made in a hidden folder inside it and renamed."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder
        self._made: list[Path] = []

    def address(self, name: str) -> str:
        """Return the final path or URL of a file."""
        return str(self._folder / name)

    def begin(self) -> Path:
        """Return a new folder on disk in which to make the files."""
        with as_storage_error(self.name):
            self._made = [path for path in (self._folder, *self._folder.parents) if not path.exists()]
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                return Path(tempfile.mkdtemp(prefix=".isomix-", dir=self._folder))
            except OSError:
                self._remove_made()
                raise

    def publish(self, work: Path, names: Sequence[str]) -> None:
        """Move finished files from the working folder to their final names."""
        for name in names:
            if (self._folder / name).is_dir():  # seen before any file has moved
                raise IsADirectoryError(f"{name} is a folder there")
        self._made = []
        for name in names:
            (work / name).replace(self._folder / name)

    def clean(self, work: Path) -> None:
        """Remove the working folder, and folders made for files that never came."""
        shutil.rmtree(work, ignore_errors=True)
        self._remove_made()

    def _remove_made(self) -> None:
        for path in self._made:
            with suppress(OSError):  # somebody else has put a file there: it stays
                path.rmdir()


class Remote:
    """An fsspec URL: files are made on the local disk, uploaded under a temporary name and moved."""

    def __init__(self, url: str) -> None:
        protocol, _, path = url.partition("://")
        self.name = self._url = f"{protocol}://{path.rstrip('/')}"
        self._is_made = False

    def address(self, name: str) -> str:
        """Return the final path or URL of a file."""
        return f"{self._url}/{name}"

    def begin(self) -> Path:
        """Return a new folder on disk in which to make the files, after a look whether the place takes any."""
        with reaching(self._url, "written"):
            self._system, self._root = fsspec.url_to_fs(self._url)
            self._try_out(f"{self._root}/.isomix-{make_id()}")
        return Path(tempfile.mkdtemp(prefix="isomix-"))

    def publish(self, work: Path, names: Sequence[str]) -> None:
        """Move finished files from the working folder to their final names."""
        waiting = {name: f"{self._root}/.{work.name}-{name}" for name in names}
        try:
            with reaching(self._url, "written"):
                for name, temporary in waiting.items():
                    self._system.put_file(str(work / name), temporary)
                for name, temporary in waiting.items():
                    self._system.mv(temporary, f"{self._root}/{name}")
        except BaseException:
            for temporary in waiting.values():
                with suppress(Exception):  # the first error is the one to tell
                    self._system.rm_file(temporary)
            raise
        self._is_made = False

    def clean(self, work: Path) -> None:
        """Remove the working folder, and one made over there for files that never came."""
        shutil.rmtree(work, ignore_errors=True)
        if self._is_made:
            with suppress(Exception):  # somebody else has put a file there, or the place is gone
                self._system.rmdir(self._root)

    def _try_out(self, path: str) -> None:
        """Write and delete an empty object: that a place cannot be reached is better told before hours of work."""
        try:
            self._system.pipe_file(path, b"")
        except FileNotFoundError:
            self._system.makedirs(self._root, exist_ok=True)
            self._is_made = True
            self._system.pipe_file(path, b"")
        self._system.rm_file(path)


def open_place(folder: str | Path) -> Folder | Remote:
    """Return the place of a path or of an fsspec URL.

    Raises
    ------
    InvalidOptions
        If it is empty, as a variable is that nobody has set.
    """
    if not str(folder):
        raise InvalidOptions("the folder for stems has no name", hint='"." is this one', option="output", value="")
    return Remote(str(folder)) if "://" in str(folder) else Folder(Path(folder))
