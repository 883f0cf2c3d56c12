"""The reference app under load: status reads of 50 clients while a separation runs, and an upload of 50 MB."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.material import write_noise

CLIENTS = 50
SECONDS = 10.0


def run() -> dict[str, Any]:
    """Measure and print, with the worker inside the server's process: the hardest case for two cores."""
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as url, httpx.Client(base_url=url) as client:
        large = write_noise(Path(folder, "large.wav"), 4.73)
        with large.open("rb") as file:
            started = time.monotonic()
            answer = client.post("/upload", files={"file": ("large.wav", file)}, timeout=60)
            seconds = time.monotonic() - started
        assert answer.status_code == 202, answer.text
        print(f"\n{large.stat().st_size / 1e6:.0f} MB: 202 after {seconds:.2f} s")
        path = answer.json()["status_url"]
        while client.get(path).json()["status"] == "pending":
            time.sleep(0.1)
        idle = asyncio.run(_read_statuses(url, path, busy=False))
        song = write_noise(Path(folder, "song.wav"), 30)
        with song.open("rb") as file:
            data = {"model": "hpss"}
            path = client.post("/upload", data=data, files={"file": ("song.wav", file)}, timeout=60).json()[
                "status_url"
            ]
        busy = asyncio.run(_read_statuses(url, path, busy=True))
        client.post(path.replace("status", "cancel"))
    return {"upload_50_mb_seconds": seconds, "idle": idle, "while_separating": busy}


async def _read_statuses(url: str, path: str, *, busy: bool) -> dict[str, float]:
    times: list[float] = []
    end = time.monotonic() + SECONDS

    async def ask() -> None:
        """Send one request after the other on one connection; a full client would cost as much as the server."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        while time.monotonic() < end:
            started = time.monotonic()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))  # type: ignore[index]
            times.append(time.monotonic() - started)
            assert head.startswith(b"HTTP/1.1 200")
            assert not busy or b'"status":"pending"' in body, "the separation ended too early to measure"
        writer.close()

    await asyncio.gather(*(ask() for _ in range(CLIENTS)))
    figures = {
        "per_second": len(times) / SECONDS,
        "median_seconds": statistics.median(times),
        "p99_seconds": statistics.quantiles(times, n=100)[-1],
    }
    print(
        f"{CLIENTS} clients, {'while a separation runs' if busy else 'nothing else running'}: "
        f"{figures['per_second']:.0f} statuses a second, median {figures['median_seconds'] * 1e3:.0f} ms, "
        f"p99 {figures['p99_seconds'] * 1e3:.0f} ms"
    )
    return figures


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Run the app on embedded defaults; give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "ISOMIX_DATA_DIR": str(folder), "PORT": str(port), "ISOMIX_MODEL": "testing:tiny"}
    process = subprocess.Popen([sys.executable, "-m", "examples.http_app"], env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{url}/health", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    run()
