"""An upload's body as a file, parsed while it comes.

Frameworks read a form whole, to memory or disk, before a handler sees any of it. Here the size limit is to bite in the
middle of a stream, so the parser is fed by hand: the thread that stores the file asks the event loop for one piece
after another, and when it has had enough, nobody asks any more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from anyio import from_thread
from fastapi import HTTPException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

MAX_FIELD_BYTES = 4096


class UploadForm:
    """A multipart form: small fields, then the field ``file``.

    Parameters
    ----------
    content_type : str
        The request's header.
    """

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise HTTPException(415, "an upload is multipart/form-data with a boundary")
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._is_whole = False
        self._field, self._name, self._value, self._disposition = "", b"", b"", b""
        self._pieces: list[bytes] = []
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_header_field": self._on_header_name,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_part,
                    "on_part_data": self._on_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise HTTPException(415, str(error)) from error

    async def read_file(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Yield the file's bytes; before the first of them, perhaps none, `fields` and `filename` are known."""
        async for chunk in body:
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise HTTPException(400, f"this is no multipart form: {error}") from error
            if self._pieces:
                piece = b"".join(self._pieces)
                self._pieces.clear()
                yield piece
        if not self._is_whole:
            raise HTTPException(400, "the form ends before its last boundary")
        if self.filename is None:
            raise HTTPException(422, "the form has no field 'file'")

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def _on_part(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition, self._field = b"", options.get(b"name", b"").decode(errors="replace")
        if self.filename is not None:
            raise HTTPException(422, "the file is the last field of the form, and the only file")
        if self._field == "file":
            self.filename = options.get(b"filename", b"").decode(errors="replace") or "recording"
            self._pieces.append(b"")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._field == "file":
            self._pieces.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise HTTPException(413, f"a field has more than {MAX_FIELD_BYTES} bytes")

    def _on_part_end(self) -> None:
        if self._field != "file":
            self.fields[self._field] = self._value.decode(errors="replace")
        self._value = b""

    def _on_end(self) -> None:
        self._is_whole = True


class BodyFile:
    """A readable file for a thread of anyio's, made of pieces that the event loop receives when they are asked for.

    Parameters
    ----------
    pieces : async generator of bytes
        What it raises is raised in the thread.
    first : bytes
        The piece that has been taken from it already.
    """

    def __init__(self, pieces: AsyncGenerator[bytes, None], first: bytes) -> None:
        self._pieces = pieces
        self._rest: bytes | None = first

    def read(self, size: int = -1) -> bytes:
        """Return up to so many bytes; none at the end."""
        while self._rest == b"":
            self._rest = from_thread.run(self._receive)
        if self._rest is None:
            return b""
        part = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(part) :]
        return part

    async def _receive(self) -> bytes | None:
        return await anext(self._pieces, None)
