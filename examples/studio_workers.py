"""Separate in worker processes that get their jobs over Redis.

Shows:   one setting that moves the work elsewhere, `isomix worker`, routes, who is online, a graceful stop.
Install: pip install "isomix[redis]", and a Redis or Valkey
Run:     ISOMIX_QUEUE=redis://127.0.0.1:6379/0 python examples/studio_workers.py [RECORDING]
See:     two workers come online, a quick and a slow model each run on their own, both projects are ready.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack

from song import get_song

from isomix import Studio

PATIENCE_SECONDS = 60.0


def start_worker(route: str) -> subprocess.Popen[bytes]:
    """Start a worker of one route, as a service manager would; it reads the same ISOMIX_* variables."""
    return subprocess.Popen([sys.executable, "-m", "isomix", "worker", "--routes", route])


def stop_worker(worker: subprocess.Popen[bytes]) -> None:
    """Stop it politely: what it is doing goes back to the queue."""
    worker.terminate()
    worker.wait(PATIENCE_SECONDS)


def wait_for_workers(studio: Studio, count: int) -> None:
    """Return when so many are online."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(studio.workers()) < count and time.monotonic() < deadline:
        time.sleep(0.1)


def main() -> None:
    """Run two workers and an application; on real machines each is a service of its own."""
    if not os.environ.get("ISOMIX_QUEUE", "").startswith("redis"):
        sys.exit("set ISOMIX_QUEUE=redis://HOST:PORT/DB first")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as workers:
        # SQLite and a folder do for one machine; several share PostgreSQL and S3
        os.environ.setdefault("ISOMIX_DATABASE", f"sqlite:///{folder}/studio.db")
        os.environ.setdefault("ISOMIX_STORAGE", f"{folder}/objects")
        os.environ["ISOMIX_ROUTES"] = "testing:slow*=slow"  # all others go to the route "default"
        studio = workers.enter_context(Studio.open())
        for route in ("default", "slow"):
            workers.callback(stop_worker, start_worker(route))
        wait_for_workers(studio, 2)
        for worker in sorted(studio.workers(), key=lambda worker: worker.routes):
            print(f"online: {', '.join(worker.routes)}")

        projects = [studio.upload(get_song(), model=model) for model in ("testing:slow-50ms", "hpss")]
        for project in projects:
            status = studio.wait(project.id, timeout_seconds=PATIENCE_SECONDS)
            print(f"{status.job.recipe.model} on {status.job.route}: {status.status.value}")


if __name__ == "__main__":
    main()
