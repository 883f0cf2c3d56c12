"""Decode ahead: the next blocks are made while the last one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import TypeVar

from isomix.audio.one_thread import OneThread

T = TypeVar("T")


def prefetch(items: Generator[T, None, None], ahead: int = 2) -> Generator[T, None, None]:
    """Yield what a generator yields, which runs ahead in a thread.

    Parameters
    ----------
    items : generator
        Its errors are raised here, in order; it is closed when this generator ends or is closed.
    ahead : int
        Items that may wait.

    Examples
    --------
    >>> list(prefetch(letter for letter in "abc"))
    ['a', 'b', 'c']
    """
    end = object()
    try:
        with OneThread("isomix-decoder") as decoder:
            waiting = deque(decoder.submit(next, items, end) for _ in range(ahead))
            while (item := waiting.popleft().result()) is not end:
                waiting.append(decoder.submit(next, items, end))
                yield item  # type: ignore[misc]  # the end was just told apart
    finally:
        items.close()
