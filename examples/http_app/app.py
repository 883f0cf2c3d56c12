"""HTTP to `isomix.Studio` and back: each route asks one question, in a thread, for the owner of the key."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar, cast

import attrs
from anyio import CapacityLimiter, to_thread
from examples.http_app import describing, live, models, problems, serving, wire
from examples.http_app.auth import Keys, Owner
from examples.http_app.headers import SECURITY, SecurityHeaders
from examples.http_app.intake import BodyFile, UploadForm
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import RedirectResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from isomix import Studio

PAGE = Path(__file__).parent / "page"
FORM_BYTES = 16 << 10
"""What a form may have around its file; a Content-Length beyond that and the limit is refused unread."""

T = TypeVar("T")


@attrs.frozen
class Threads:
    """Threads in three crowds that cannot starve each other: uploads last as long as their senders like."""

    quick: CapacityLimiter = attrs.field(factory=lambda: CapacityLimiter(16))
    uploads: CapacityLimiter = attrs.field(factory=lambda: CapacityLimiter(100))
    exports: CapacityLimiter = attrs.field(factory=lambda: CapacityLimiter(4))

    async def run(self, call: Callable[..., T], *args: Any, crowd: str = "quick", **kwargs: Any) -> T:
        """Return what a blocking call returns."""
        return await to_thread.run_sync(partial(call, *args, **kwargs), limiter=getattr(self, crowd))

    async def read(self, file: BinaryIO, size: int) -> bytes:
        """Return so many bytes of a file."""
        return await self.run(file.read, size)


@attrs.frozen
class Desk:
    """Where a request is served: the studio, and for whom.

    Parameters
    ----------
    studio : Studio
    threads : Threads
    keys : Keys
    owner : str
    """

    studio: Studio
    threads: Threads
    keys: Keys
    owner: str

    def ask(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> Awaitable[T]:
        """Call one of the studio's methods, in a thread, for the owner."""
        return self.threads.run(call, *args, owner=self.owner, **kwargs)

    def serve(self, request: Request, file: BinaryIO, **facts: Any) -> Awaitable[Response]:
        """Answer with a file; see `serving.serve`."""
        return self.threads.run(serving.serve, request, file, self.threads.read, **facts)


def _open_desk(request: Request, owner: Owner) -> Desk:
    state = request.app.state
    return Desk(state.studio, state.threads, state.keys, owner)


AtDesk = Annotated[Desk, Depends(_open_desk)]
Id = wire.ProjectId
router = APIRouter()


@router.post(
    "/upload", status_code=202, openapi_extra=describing.UPLOAD, responses=problems.describe(400, 404, 413, 415, 429)
)
async def upload(request: Request, desk: AtDesk) -> wire.AcceptedBody:
    """Take a recording in: a multipart form with perhaps ``model``, then ``file``."""
    form = UploadForm(request.headers.get("Content-Type", ""))
    length = request.headers.get("Content-Length", "0")
    desk.keys.limits_of(desk.owner).check_size(int(length) - FORM_BYTES)
    pieces = form.read_file(request.stream())
    file = BodyFile(pieces, await anext(pieces))  # the fields before the file are known now
    facts = {"filename": form.filename, "model": form.fields.get("model") or None}
    try:
        project = await desk.ask(desk.studio.upload, cast("BinaryIO", file), **facts, crowd="uploads")
    except CancelledError as error:
        raise HTTPException(503, "the server is stopping, and this takes too long") from error
    return wire.AcceptedBody.of(project)


@router.post("/reseparate/{project_id}", status_code=202, responses=problems.describe(400, 404, 409, 429))
async def reseparate(project_id: Id, body: wire.AgainBody, desk: AtDesk) -> wire.AcceptedBody:
    """Separate a project's recording once more; its stems stay until the new ones are there."""
    return wire.AcceptedBody.of(await desk.ask(desk.studio.reseparate, project_id, model=body.model))


@router.get("/status/{project_id}", responses=problems.describe(404))
async def status(project_id: Id, desk: AtDesk) -> wire.StatusBody:
    """Tell how a project is doing. ``/ws/{project_id}`` is a WebSocket that pushes the same on every change."""
    return wire.StatusBody.of(await desk.ask(desk.studio.status, project_id))


@router.get("/projects", responses=problems.describe())
async def projects(
    desk: AtDesk, limit: Annotated[int, Query(ge=1, le=1000)] = 100, before: wire.Moment | None = None
) -> wire.ProjectsBody:
    """List the caller's projects, newest first; ``before`` is the ``created_at`` of the last one known."""
    found = await desk.threads.run(desk.studio.projects, desk.owner, limit=limit, before=before)
    return wire.ProjectsBody(projects=[wire.ProjectBody(**wire.ProjectBody.fields_of(project)) for project in found])


@router.post("/cancel/{project_id}", responses=problems.describe(404, 409))
async def cancel(project_id: Id, desk: AtDesk) -> wire.StatusBody:
    """Cancel a project's separation."""
    return wire.StatusBody.of(await desk.ask(desk.studio.cancel, project_id))


@router.delete("/projects/{project_id}", status_code=204, responses=problems.describe(404))
async def delete(project_id: Id, desk: AtDesk) -> None:
    """Delete a project with everything of it."""
    await desk.ask(desk.studio.delete, project_id)


@router.head("/projects/{project_id}/stems/{name}", include_in_schema=False)
@router.get("/projects/{project_id}/stems/{name}", response_class=Response, responses=describing.STEM)
async def stem(request: Request, project_id: Id, name: str, desk: AtDesk, v: str = "") -> Response:
    """Fetch a stem, or a range of it; perhaps from the store itself, at a signed address."""
    if request.app.state.redirects and request.method == "GET":
        url = await desk.ask(desk.studio.stem_url, project_id, name)
        if url:
            return RedirectResponse(url, 307, {"Cache-Control": "no-store"})
    file = await desk.ask(desk.studio.open_stem, project_id, name)
    now = await desk.ask(desk.studio.status, project_id)
    facts = next(known for known in now.stems if known.name == name)
    title = now.project.name_file(name, facts.format)
    return await desk.serve(
        request,
        file,
        etag=facts.sha256,
        media_type=serving.MEDIA_TYPES[facts.format],
        headers={**serving.keep(v, facts.sha256), "Content-Disposition": serving.as_download(title)},
    )


@router.head("/projects/{project_id}/peaks/{name}", include_in_schema=False)
@router.get("/projects/{project_id}/peaks/{name}", responses=describing.PEAKS)
async def peaks(request: Request, project_id: Id, name: str, desk: AtDesk, v: str = "") -> Response:
    """Fetch a stem's waveform: audiowaveform's JSON, version 2."""
    data = await desk.ask(desk.studio.peaks, project_id, name)
    stems = await desk.ask(desk.studio.stems, project_id)
    sha256 = next(known.sha256 for known in stems if known.name == name)
    headers = {**serving.keep(v, sha256), "ETag": f'W/"{sha256}"'}
    if serving.is_known(request, sha256):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="application/json", headers=headers)


@router.get("/projects/{project_id}/preview", responses=problems.describe(404))
async def preview(project_id: Id, desk: AtDesk, response: Response) -> wire.PreviewBody:
    """Tell what can be played now: more and more while the separation runs."""
    found = await desk.ask(desk.studio.preview, project_id)
    response.headers["Cache-Control"] = "private, no-cache" if found.complete else "no-store"
    return wire.PreviewBody.of(project_id, found)


@router.head("/projects/{project_id}/preview/{attempt}/{name}/{segment}.flac", include_in_schema=False)
@router.get(
    "/projects/{project_id}/preview/{attempt}/{name}/{segment}.flac",
    response_class=Response,
    responses=describing.SEGMENT,
)
async def segment(
    request: Request,
    project_id: Id,
    attempt: Annotated[str, InPath(pattern=r"^[0-9a-f]{32}-[0-9]{1,9}$")],
    name: str,
    segment: Annotated[int, InPath(ge=0, le=99999)],
    desk: AtDesk,
) -> Response:
    """Fetch a few seconds of a stem, stored ``gain_db`` lower than they sound."""
    file = await desk.ask(desk.studio.open_preview, project_id, name, segment, attempt=attempt)
    headers = {"Cache-Control": serving.IMMUTABLE}
    return await desk.serve(request, file, etag=f"{attempt}-{segment}", media_type="audio/flac", headers=headers)


@router.post("/export", response_class=Response, responses=describing.EXPORT)
async def export(body: wire.ExportBody, desk: AtDesk) -> Response:
    """Render a mix and fetch it."""
    made = await desk.ask(
        desk.studio.export,
        body.project_id,
        body.mix.model_dump(),
        format=body.format,
        encoding=body.encoding,
        crowd="exports",
    )
    headers = {
        "Content-Type": made.media_type,
        "Content-Disposition": serving.as_download(made.filename),
        "Cache-Control": "no-store",
        "X-Isomix-Gain-Db": f"{made.gain_db:.3f}",
        "X-Isomix-Headroom-Db": f"{made.headroom_db:.3f}",
    }
    return serving.FileResponse(cast("BinaryIO", made), desk.threads.read, made.size_bytes, 200, headers)


@router.get("/models", responses=problems.describe())
async def list_models(desk: AtDesk) -> list[wire.ModelBody]:
    """List the models to choose from."""

    def describe(default: str) -> list[wire.ModelBody]:
        specs = models.list_with(default)
        return [wire.ModelBody.of(s, default=s.name == default, available=models.is_available(s)) for s in specs]

    return await desk.threads.run(describe, desk.studio.settings.model)


@router.get("/limits", responses=problems.describe())
async def limits(desk: AtDesk) -> wire.LimitsBody:
    """Tell what the caller may do."""
    return wire.LimitsBody.of(desk.keys.limits_of(desk.owner))


@router.get("/health", responses={503: {"model": wire.HealthBody, "description": "Something is wrong"}})
async def health(request: Request, response: Response) -> wire.HealthBody:
    """Ask database, store and queue how they are; needs no key."""
    state = request.app.state
    found = wire.HealthBody(**await state.threads.run(state.studio.health))
    if (found.database, found.storage, found.queue) != ("ok",) * 3:
        response.status_code = 503
    return found


def create_app(
    studio: Studio, *, keys: Keys | None = None, origins: Sequence[str] = (), redirects: bool = False
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    studio : Studio
        Opened with ``limits_of=keys.limits_of``; it is the caller's to close.
    keys : Keys, optional
        Who may ask; everybody if not given, as one owner.
    origins : sequence of str
        Other web sites whose pages may ask (CORS).
    redirects : bool
        Whether stems are fetched from the store at signed addresses; clients have to reach it, then.

    Returns
    -------
    FastAPI
    """
    app = FastAPI(title="isomix", summary="Music stem separation", version="1", docs_url=None, redoc_url=None)
    app.state.studio, app.state.keys, app.state.threads = studio, keys or Keys(), Threads()
    app.state.origins, app.state.redirects = origins, redirects
    app.include_router(router)
    app.add_api_websocket_route("/ws/{project_id}", live.follow)
    problems.install(app, SECURITY)
    describing.complete(app)
    app.add_middleware(GZipMiddleware)  # it leaves audio alone
    if origins:
        shown = ["Content-Disposition", "X-Isomix-Gain-Db", "X-Isomix-Headroom-Db"]
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=shown
        )
    app.add_middleware(SecurityHeaders)
    # What no route knows is a file of the page. As a mount, it would swallow "method not allowed".
    page, not_found = StaticFiles(directory=PAGE, html=True), app.router.default

    async def fall_back(scope: Scope, receive: Receive, send: Send) -> None:
        await (page if scope["type"] == "http" else not_found)(scope, receive, send)

    app.router.default = fall_back
    return app
