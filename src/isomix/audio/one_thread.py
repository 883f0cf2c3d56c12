"""One thread that does what it is given, in order, also while Python shuts down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OneThread(Executor):
    """Does what it is given in a thread of its own.

    A `ThreadPoolExecutor` takes nothing more once the main thread has ended, which is before any ``atexit`` hook can
    stop whoever uses it: what is half done then would break off with an error. This one goes on until its owner ends.
    In a forked process, which has none of its parent's threads, it begins anew.

    Parameters
    ----------
    name : str
        Of the thread.

    Examples
    --------
    >>> with OneThread("counter") as counter:
    ...     counter.submit(len, "abc").result()
    3
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_shut = False
        self._start()

    def _start(self) -> None:
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function after those that were given before.

        Raises
        ------
        RuntimeError
            After `shutdown`.
        """
        if self._is_shut:
            raise RuntimeError(f"{self._name} takes nothing after its shutdown")
        if not self._thread.is_alive():
            self._start()
        future: Future[T] = Future()
        self._waiting.put((future, partial(function, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread when it has done everything; or, where the rest is cancelled, what it is doing."""
        self._is_shut = True
        if cancel_futures:
            with suppress(Empty):
                while given := self._waiting.get_nowait():
                    given[0].cancel()
        self._waiting.put(None)
        if wait:
            self._thread.join()

    def _work(self) -> None:
        while given := self._waiting.get():
            future, call = given
            try:
                future.set_result(call())
            except BaseException as error:  # it is raised where the result is asked for
                future.set_exception(error)
            del given, future, call  # what waits for the next call must not keep the last block alive
