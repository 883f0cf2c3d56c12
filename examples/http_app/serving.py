"""Files over HTTP: ranges, validators, names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from io import SEEK_END
from typing import BinaryIO
from urllib.parse import quote

from examples.http_app import problems
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

PIECE_BYTES = 256 << 10
MEDIA_TYPES = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "ogg": "audio/ogg"}
IMMUTABLE = "private, max-age=31536000, immutable"
ReadPiece = Callable[[BinaryIO, int], Awaitable[bytes]]
"""Reads so many bytes of a file, in a thread."""


class FileResponse(StreamingResponse):
    """A stretch of an open file, which is closed in the end, however that comes."""

    def __init__(self, file: BinaryIO, read: ReadPiece, length: int, status: int, headers: dict[str, str]) -> None:
        self._file, self._read, self._length = file, read, length
        super().__init__(self._pieces(), status, {**headers, "Content-Length": str(length)})

    async def _pieces(self) -> AsyncIterator[bytes]:
        left = self._length
        while left and (piece := await self._read(self._file, min(left, PIECE_BYTES))):
            left -= len(piece)
            yield piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; a client that leaves ends it."""
        with closing(self._file):
            await super().__call__(scope, receive, send)


def serve(
    request: Request, file: BinaryIO, read: ReadPiece, *, etag: str, media_type: str, headers: dict[str, str]
) -> Response:
    """Answer GET and HEAD with a file, or with the part of it that is asked for."""
    size = file.seek(0, SEEK_END)
    headers = {**headers, "ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Content-Type": media_type}
    if is_known(request, etag):
        file.close()
        return Response(status_code=304, headers={k: v for k, v in headers.items() if k != "Content-Type"})
    asked = request.headers.get("Range", "") if request.headers.get("If-Range", f'"{etag}"') == f'"{etag}"' else ""
    start, stop, status = 0, size, 200
    if asked and (span := find_range(asked, size)):
        (start, stop), status = span, 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    if start >= stop and status == 206:
        file.close()
        return problems.respond(
            416, "range_not_satisfiable", f"it has {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    if request.method == "HEAD":
        file.close()
        return Response(status_code=status, headers={**headers, "Content-Length": str(stop - start)})
    file.seek(start)
    return FileResponse(file, read, stop - start, status, headers)


def find_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte of one range and the byte after its last; None for anything else, which gets the whole.

    Examples
    --------
    >>> [find_range(header, 10) for header in ("bytes=2-4", "bytes=7-", "bytes=-3", "bytes=2-3,5-6", "bytes=20-")]
    [(2, 5), (7, 10), (7, 10), None, (20, 10)]
    """
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip(), re.ASCII)
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size


def keep(version: str, sha256: str) -> dict[str, str]:
    """Return for how long an answer may be kept: for ever if its address names its version."""
    return {"Cache-Control": IMMUTABLE if version and sha256.startswith(version) else "private, no-cache"}


def is_known(request: Request, etag: str) -> bool:
    """Tell whether the client has this version already."""
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    return "*" in known or f'"{etag}"' in known


def as_download(name: str) -> str:
    """Return a Content-Disposition that saves a file under a name, whatever characters it has (RFC 6266, RFC 5987).

    Examples
    --------
    >>> print(as_download('Canção "1".wav'))
    attachment; filename="Can__o _1_.wav"; filename*=UTF-8''Can%C3%A7%C3%A3o%20%221%22.wav
    """
    plain = re.sub(r"[^ !#$&'()+,.0-9;=@A-Z\[\]^_`a-z{}~-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
