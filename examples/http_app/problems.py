"""Every error is a problem document (RFC 9457), made of isomix's own codes and status hints."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from isomix.errors import IsomixError

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)


class Problem(BaseModel):
    """What went wrong. The facts of the case stand beside these fields, such as ``limit_bytes``."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""


def respond(
    status: int,
    code: str,
    detail: str,
    facts: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as a response."""
    own = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}
    body = json.dumps({"hint": "", **(facts or {}), **own})  # ASCII: a client's own odd characters come back escaped
    return Response(body, status, headers, media_type=MEDIA_TYPE)


def refuse(error: IsomixError) -> Response:
    """Return one of isomix's errors as a response; a fault of the server's is logged, and its facts stay here."""
    facts: dict[str, Any] = {}
    if error.status_hint >= 500:
        _log.error("%s: %s", type(error).__name__, error, exc_info=error)
    else:
        facts = {name: value for name, value in error.facts.items() if _is_plain(value)}
    return respond(error.status_hint, error.code, error.message, {**facts, "hint": error.hint})


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | None) or (isinstance(value, float) and math.isfinite(value))


def describe(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the problems of a route, for its OpenAPI; every route can have a few more of them."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted({*statuses, 401, 422, 500, 503})
    }


def install(app: FastAPI, headers: Mapping[str, str]) -> None:
    """Make an application answer errors with problems; unexpected ones get these headers, which nobody else adds."""

    @app.exception_handler(IsomixError)
    async def isomix_error(_: Request, error: IsomixError) -> Response:
        return refuse(error)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return respond(error.status_code, code, error.detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        places = [(".".join(map(str, found["loc"])), found["msg"]) for found in error.errors()]
        detail = "; ".join(f"{place}: {message}" for place, message in places)
        errors = [{"in": place, "why": why} for place, why in places]
        return respond(422, "invalid_request", detail, {"errors": errors})

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody reads it: the client has left in the middle of its request

    @app.exception_handler(Exception)
    async def unexpected(_: Request, __: Exception) -> Response:  # the server logs the traceback
        return respond(500, "internal_error", "something unexpected happened; the log has it", headers=headers)
