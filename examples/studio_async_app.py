"""Use the studio in an asyncio application: calls in threads, changes as wake-ups.

Shows:   asyncio.to_thread around the studio's calls, on_change with call_soon_threadsafe.
Install: pip install "isomix[studio]"
Run:     python examples/studio_async_app.py [RECORDING]
See:     two separations in one event loop that goes on ticking, both ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from song import get_song

from isomix import Studio
from isomix.domain.status import Status

LOOK_SECONDS = 2.0
"""How often to look without being called: a call may get lost."""


async def watch(studio: Studio, project_id: str) -> AsyncIterator[Status]:
    """Yield a project's status now and after each change, to the final one; no thread waits meanwhile."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:  # from any thread
        loop.call_soon_threadsafe(changed.set)

    unsubscribe = await asyncio.to_thread(studio.on_change, project_id, wake)
    try:
        while True:
            changed.clear()
            status = await asyncio.to_thread(studio.status, project_id)
            yield status
            if status.is_final:
                return
            with suppress(TimeoutError):  # nobody called: look again
                await asyncio.wait_for(changed.wait(), LOOK_SECONDS)
    finally:
        unsubscribe()


async def separate(studio: Studio, song: Path, owner: str) -> None:
    """Upload and follow a recording."""
    project = await asyncio.to_thread(studio.upload, song, owner=owner, model="testing:slow-50ms")
    async for status in watch(studio, project.id):
        last = status
    print(f"{owner}: {last.status.value}, {len(last.stems)} stems")


async def tick(seen: list[int]) -> None:
    """Count how often the event loop comes by."""
    while True:
        await asyncio.sleep(0.01)
        seen[0] += 1


async def serve(studio: Studio, song: Path) -> None:
    """Do several things at once."""
    ticks = [0]
    ticking = asyncio.create_task(tick(ticks))
    await asyncio.gather(separate(studio, song, "ann"), separate(studio, song, "bob"))
    ticking.cancel()
    print(f"the event loop was free: {ticks[0]} ticks")


def main() -> None:
    """Open the studio outside the event loop: opening and closing may wait."""
    with Studio.open("memory://", "memory://async") as studio:
        asyncio.run(serve(studio, get_song()))


if __name__ == "__main__":
    main()
