"""The WebSocket: a project's status on every change, to the final one. No thread waits for a watcher."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from examples.http_app.auth import find_owner
from examples.http_app.wire import StatusBody, check_id
from fastapi import WebSocket, WebSocketDisconnect

from isomix import IsomixError
from isomix.errors import ProjectNotFound

UNKNOWN, NO_KEY, DONE, BROKEN = 4404, 4401, 1000, 1011
POLL_SECONDS = 1.0
"""A call of the studio's may be lost."""
PAUSE_SECONDS = 0.2
_log = logging.getLogger(__name__)


async def follow(socket: WebSocket, project_id: str) -> None:
    """Send a project's status on every change, at most five a second, and close after the final one."""
    await socket.accept()  # a browser reads the code of a close, not of a refusal
    owner = find_owner(socket)
    leaving = asyncio.create_task(_wait_until_left(socket))
    try:
        code = NO_KEY if owner is None else await _push(socket, check_id(project_id), owner, leaving)
    except ProjectNotFound:
        code = UNKNOWN
    except IsomixError:
        _log.exception("a watcher is sent away")
        code = BROKEN
    except WebSocketDisconnect:
        return
    finally:
        leaving.cancel()
    if not leaving.done():
        with suppress(RuntimeError, WebSocketDisconnect):  # it left at this very moment
            await socket.close(code)


async def _push(socket: WebSocket, project_id: str, owner: str, leaving: asyncio.Task[None]) -> int:
    studio, threads = socket.app.state.studio, socket.app.state.threads
    changed, loop, sent = asyncio.Event(), asyncio.get_running_loop(), ""

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended with the server
            loop.call_soon_threadsafe(changed.set)

    unsubscribe = await threads.run(studio.on_change, project_id, wake)
    try:
        while not leaving.done():
            changed.clear()
            status = await threads.run(studio.status, project_id, owner=owner)
            if (text := StatusBody.of(status).model_dump_json()) != sent:
                await socket.send_text(text)
                sent = text
            if status.is_final:
                break
            await asyncio.wait({leaving}, timeout=PAUSE_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), POLL_SECONDS)
    finally:
        await threads.run(unsubscribe)
    return DONE


async def _wait_until_left(socket: WebSocket) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass  # what a watcher says is of no interest
