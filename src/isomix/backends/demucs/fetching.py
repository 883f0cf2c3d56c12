"""Bring a file of weights over the network, or say within seconds that there is none.

Both doors into the network wait for a first answer a few seconds and no longer: not the library's retries, not the
resolver's, which no socket timeout covers.
"""

from __future__ import annotations

import hashlib
import queue
import re
import threading
import urllib.request
import uuid
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from isomix._version import __version__
from isomix.errors import IntegrityError, StorageError
from isomix.models.manifest import SHA256_DIGITS, read_digest, write_digest

ANSWER_SECONDS = 5.0
"""For a server's first answer."""
STALL_SECONDS = 30.0
"""Without a byte, once it has answered."""
_PIECE_BYTES = 1 << 20

Report = Callable[[float], None]
T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or give up on it.

    Parameters
    ----------
    seconds : float
        Wall time.
    call : callable
        Left to itself, in a daemon thread, if it takes longer.

    Raises
    ------
    TimeoutError
        If it takes longer.

    Examples
    --------
    >>> within(1.0, lambda: 2)
    2
    """
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        value, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} seconds") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # None only where T is None


def fetch_from_hub(repository: str, name: str, folder: Path, report: Report) -> Path:
    """Fetch a file of a Hugging Face repository.

    Parameters
    ----------
    repository : str
        ``"namespace/name"``.
    name : str
        Name of the file.
    folder : Path
        Where to put it.
    report : callable
        Told the share that is done, 0 to 1.

    Returns
    -------
    Path
        The file, verified.

    Raises
    ------
    StorageError
        If the hub cannot be reached, or does not have it.
    """
    # Imported here for its weight: whoever has the weights needs none of it.
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        url = hf_hub_url(repository, name)
        facts = within(ANSWER_SECONDS, lambda: get_hf_file_metadata(url, timeout=ANSWER_SECONDS))
        arrived = Path(
            hf_hub_download(
                repository,
                name,
                local_dir=folder,
                force_download=(folder / name).exists(),  # whoever comes here has found it damaged
                etag_timeout=ANSWER_SECONDS,
                tqdm_class=_silent_bar(report),
            )
        )
    except Exception as error:
        raise StorageError(f"{type(error).__name__}: {_first_line(error)}", path=f"hf://{repository}/{name}") from error
    # Large files bear their sha256 as their tag.
    if facts.etag and len(facts.etag) == SHA256_DIGITS:
        verify(arrived, facts.etag)
        write_digest(arrived, facts.etag)
    return arrived


def fetch_file(url: str, target: Path, checksum: str, report: Report) -> Path:
    """Fetch a file of the web.

    Parameters
    ----------
    url : str
        Its address.
    target : Path
        Its place; the name appears when the whole file is there and verified.
    checksum : str
        First digits of its sha256.
    report : callable
        Told the share that is done, 0 to 1.

    Returns
    -------
    Path
        The target.

    Raises
    ------
    StorageError
        If it cannot be fetched.
    """
    request = urllib.request.Request(url, headers={"User-Agent": f"isomix/{__version__}"})
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        answer = within(ANSWER_SECONDS, lambda: urllib.request.urlopen(request, timeout=STALL_SECONDS))
        target.parent.mkdir(parents=True, exist_ok=True)
        with answer, partial.open("wb") as file:
            expected = int(answer.headers.get("Content-Length") or 0)
            while piece := answer.read(_PIECE_BYTES):
                file.write(piece)
                report(file.tell() / expected if expected else 0.0)
        verify(partial, checksum)
        return partial.replace(target)
    except (OSError, HTTPException, ValueError) as error:
        raise StorageError(f"{type(error).__name__}: {_first_line(error)}", path=url) from error
    finally:
        partial.unlink(missing_ok=True)


def verify(path: Path, checksum: str) -> None:
    """Compare a file's sha256 with the first digits that are known of it.

    Parameters
    ----------
    path : Path
        The file.
    checksum : str
        Hexadecimal digits.

    Raises
    ------
    IntegrityError
        If they differ.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(checksum):
        message = f"{path.name} is damaged: its sha256 begins with {found[: len(checksum)]}, not {checksum}"
        raise IntegrityError(message, path=path)


def find_digits(path: Path) -> str:
    """Return the first digits of a file's sha256 as far as its place or its name tells them, or nothing.

    Parameters
    ----------
    path : Path
        A file with a digest beside it, one named as Demucs publishes networks, or one of the hub's cache.
    """
    if digest := read_digest(path):
        return digest
    if path.suffix == ".th" and "-" in path.stem:
        return path.stem.rpartition("-")[2]
    # The hub's cache names large files after their sha256, and links to them.
    blob = path.resolve().name
    return blob if re.fullmatch(f"[0-9a-f]{{{SHA256_DIGITS}}}", blob) else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _silent_bar(report: Report) -> type[tqdm[Any]]:
    """Return a progress bar for the hub's library that shows nothing and tells ``report``."""

    class Silent(tqdm):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*arguments, **{**options, "disable": True})
            self.total = options.get("total")

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self.total:
                report(min(self.n / self.total, 1.0))

    return Silent
