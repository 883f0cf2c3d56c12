"""What FastAPI cannot see by itself, for a complete OpenAPI document: forms, files, ranges, problems."""

from __future__ import annotations

from typing import Any

from examples.http_app import problems
from fastapi import FastAPI

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_AUDIO = dict.fromkeys(("audio/wav", "audio/flac", "audio/mpeg", "audio/ogg"), _BYTES)
_RANGES: dict[int | str, dict[str, Any]] = {
    206: {"description": "The range that was asked for", "content": _AUDIO},
    304: {"description": "The client has it already"},
    416: {**problems.describe(416)[416], "description": "It has no such range"},
}
STEM: dict[int | str, dict[str, Any]] = {
    200: {"description": "The stem", "content": _AUDIO},
    307: {"description": "It is at a signed address"},
    **_RANGES,
    **problems.describe(404, 409),
}
SEGMENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The segment", "content": {"audio/flac": _BYTES}},
    **_RANGES,
    **problems.describe(404, 409),
}
PEAKS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The waveform", "content": {"application/json": {"schema": {"type": "object"}}}},
    304: _RANGES[304],
    **problems.describe(404, 409),
}
_DECIBELS = {"schema": {"type": "string"}, "required": True}
EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The mix",
        "content": _AUDIO,
        "headers": {
            "X-Isomix-Gain-Db": {**_DECIBELS, "description": "Gain that was applied so that nothing clips"},
            "X-Isomix-Headroom-Db": {**_DECIBELS, "description": "How far the mix was from full scale before it"},
        },
    },
    **problems.describe(400, 404, 409),
}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "model": {"type": "string", "description": "one of /models; it comes before the file"},
        "file": {"type": "string", "format": "binary", "description": "the recording; the last field"},
    },
}
UPLOAD: dict[str, Any] = {
    "openapi_extra": {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
    "responses": problems.describe(400, 404, 413, 415, 429),
}


def complete(app: FastAPI) -> None:
    """Add to an application's OpenAPI what the routes' descriptions refer to."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        document["components"]["schemas"].setdefault("Problem", problems.Problem.model_json_schema())
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
