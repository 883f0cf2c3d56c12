"""A real Celery worker for tests, in a process of its own; what it does is told by the ids of its jobs.

``again-ID``   enqueues ID, then ends.
``kill-ID``    the first time, the child process kills itself, as the kernel does when memory has run out.
``segv-ID``    the same, by a fault in native code.
``sleep-ID``   sleeps in Python, and hears neither deadline nor stop.
``hang-ID``    the same, in native code: signal handlers do not run.
``brief-ID``   sleeps for two seconds.
``patient-ID`` waits until it is told to stop.

Every job is recorded when it begins and, where it does, when it ends.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isomix.queue import CeleryQueue, serve
from isomix.testing.queues import RecordingRun

ROOT = Path(__file__).resolve().parents[1]
GRACE_SECONDS = 1.5
PATIENCE_SECONDS = 60.0


class Host:
    """What the worker's child runs jobs with."""

    def __init__(self, url: str, folder: Path) -> None:
        self._folder = folder
        self._stopping = threading.Event()
        self._record = RecordingRun(lambda job_id: note(folder / "ran", job_id))
        self._record.queue = self._queue = CeleryQueue(url)

    def start(self) -> None:
        if (broken := self._folder / "broken").exists():
            broken.unlink()
            raise OSError("this host is broken, as it was asked for")
        note(self._folder / "started", str(os.getpid()))

    def run(self, job_id: str) -> None:
        note(self._folder / "begun", job_id)
        kind = job_id.partition("-")[0]
        is_first = read(self._folder / "begun").count(job_id) == 1
        if kind == "kill" and is_first:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "segv" and is_first:
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == "hang":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        if kind in ("hang", "sleep"):
            with suppress(Exception):  # as a runner that takes whatever is raised for the job's own failure
                time.sleep(600.0)
        if kind == "brief":
            time.sleep(2.0)
        if kind == "patient" and not self._stopping.wait(PATIENCE_SECONDS):
            note(self._folder / "impatient", job_id)
        self._record(job_id)

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        self._queue.close()
        note(self._folder / "closed", str(os.getpid()))


class WorkerProcess:
    """The worker as a test sees it."""

    def __init__(self, url: str, folder: Path, *routes: str, concurrency: int = 1) -> None:
        self.folder = folder
        command = [sys.executable, "-W", "error", "-m", "tests.service_celery", url, str(folder), str(concurrency)]
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *(routes or ("default",))],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def ran(self) -> list[str]:
        """Return the ids of the jobs that have ended."""
        return read(self.folder / "ran")

    @property
    def begun(self) -> list[str]:
        """Return the ids of the jobs that were begun."""
        return read(self.folder / "begun")

    @property
    def started(self) -> list[str]:
        """Return the ids of the child processes that were made ready."""
        return read(self.folder / "started")

    @property
    def closed(self) -> list[str]:
        """Return the ids of the child processes that have let go of everything."""
        return read(self.folder / "closed")

    @property
    def lost(self) -> list[dict[str, object]]:
        """Return what was told of lost jobs."""
        return [json.loads(line) for line in read(self.folder / "lost")]

    @property
    def log(self) -> str:
        """Return what the worker has written."""
        return (self.folder / "log").read_text()

    def wait_started(self) -> None:
        """Wait until a child is ready for jobs."""
        self.wait_for("started")

    def wait_for(self, name: str, line: str | None = None) -> None:
        """Wait until a file of the folder has a line, or any."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := read(self.folder / name)) or (line is not None and line not in found):
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the whole worker, as a power cut does."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def note(path: Path, line: str) -> None:
    """Append a line to a file, at once."""
    with path.open("a") as file:
        file.write(f"{line}\n")


def read(path: Path) -> list[str]:
    """Return the lines of a file that may not be there yet."""
    return path.read_text().splitlines() if path.exists() else []


@contextmanager
def start_worker(url: str, folder: Path, *routes: str, concurrency: int = 1) -> Iterator[WorkerProcess]:
    """Give a worker that is ready for jobs; kill it in the end."""
    worker = WorkerProcess(url, folder, *routes, concurrency=concurrency)
    try:
        worker.wait_started()
        yield worker
    finally:
        worker.kill()


def main(url: str, folder: Path, concurrency: int, routes: list[str]) -> int:
    """Serve."""
    logging.basicConfig(level=logging.INFO, format="%(process)d %(name)s %(message)s")
    queue = CeleryQueue(url, grace_seconds=GRACE_SECONDS)

    def on_lost(job_id: str, pid: int | None, exit_code: int | None, timed_out: bool) -> None:
        note(folder / "lost", json.dumps({"id": job_id, "pid": pid, "exit_code": exit_code, "timed_out": timed_out}))
        if not timed_out:
            queue.enqueue(job_id, route=routes[0], timeout_seconds=60.0)

    return serve(url, lambda: Host(url, folder), routes=routes, on_lost=on_lost, concurrency=concurrency)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
