"""Uploads as streams: cut off at the limit, broken off by the client, and never whole in memory."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from isomix.domain.job import JobState
from isomix.persistence import open_database

ROOT = Path(__file__).resolve().parents[3]
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="big.wav"\r\nContent-Type: audio/wav\r\n\r\n'
LARGE_BYTES = 50_000_000


@contextmanager
def _begin(served, owner="nobody", length=None):
    """Give a connection on which an upload's head has been sent, with a length or in chunks."""
    address = urlsplit(served.url)
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    with socket.create_connection((address.hostname, address.port), timeout=30) as line:
        line.sendall(
            f"POST /upload HTTP/1.1\r\nHost: x\r\nX-API-Key: key-of-{owner}\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\n{framing}\r\n\r\n".encode()
        )
        yield line


def _as_chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _read_answer(line):
    answer = b""
    while b"}" not in answer:
        part = line.recv(1 << 16)
        assert part, "the server hung up without an answer"
        answer += part
    return answer


def _list_projects(served, owner):
    with served.client(owner) as client:
        return client.get("/projects").json()["projects"]


def test_an_announced_size_beyond_the_limit_is_refused_unread(served):
    """A Content-Length over the limit is answered before any of the body is sent."""
    with _begin(served, "tiny", length=40 << 20) as line:
        answer = _read_answer(line)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "too_large"' in answer


def test_a_stream_beyond_the_limit_is_cut_off(served, noise):
    """A body of unknown size is answered as soon as it exceeds the limit, long before it ends, and leaves nothing."""
    before, projects = served.list_objects(), _list_projects(served, "tiny")
    with _begin(served, "tiny") as line:
        line.sendall(_as_chunk(PART + noise(1.0)))
        for _ in range(20):  # a million bytes are the limit; the body's end is never sent
            line.sendall(_as_chunk(bytes(1 << 16)))
        answer = _read_answer(line)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"limit_bytes": 1048576' in answer
    assert (served.list_objects(), _list_projects(served, "tiny")) == (before, projects)


def test_a_quota_is_checked_before_the_body(served, noise):
    """An owner who may not upload now is told so although the body has only begun."""
    project_id = served.upload(noise(4.5), owner="tiny", model="testing:slow-200ms")
    with _begin(served, "tiny") as line:
        line.sendall(_as_chunk(PART))
        assert _read_answer(line).startswith(b"HTTP/1.1 429 ")
    served.wait(project_id, owner="tiny")


def test_a_client_that_leaves_leaves_nothing(served, noise, caplog, wait_until):
    """An upload that is broken off keeps no byte and no project, and is no error of the server's."""
    before, projects = served.list_objects(), _list_projects(served, "bob")
    with _begin(served, "bob") as line:
        for _ in range(30):
            line.sendall(_as_chunk(PART + noise(0.5)))
        wait_until(lambda: served.list_objects() != before)
    wait_until(lambda: served.list_objects() == before)
    assert _list_projects(served, "bob") == projects
    assert not [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]


def test_slow_uploads_keep_nobody_waiting(served, noise):
    """While many uploads hang, requests are answered; then each of them is still accepted."""
    with served.client("bob") as bob, ExitStack() as stack:
        lines = [stack.enter_context(_begin(served, "bob")) for _ in range(50)]
        for line in lines:
            line.sendall(_as_chunk(PART))
        assert bob.get("/projects").status_code == 200
        for line in lines[:3]:
            line.sendall(_as_chunk(noise(0.2) + b"\r\n--b--\r\n") + b"0\r\n\r\n")
            assert _read_answer(line).startswith(b"HTTP/1.1 202 ")


class Process:
    """A server in a process of its own, as ``make studio`` starts it."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ISOMIX_")}
        own = {"ISOMIX_DATA_DIR": str(folder), "ISOMIX_MODEL": "testing:tiny", "PORT": str(port)}
        self.url, self.folder, self.log = f"http://127.0.0.1:{port}", folder, folder / "log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "examples.http_app"]
            self.process = subprocess.Popen(command, cwd=ROOT, env={**kept, **own}, stdout=log, stderr=log)

    def stop(self):
        """Stop it as an operator does; return its exit code."""
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture
def process(tmp_path, wait_until):
    """Return a server in a process of its own, whose log has no traceback in the end."""
    server = Process(tmp_path)
    try:
        wait_until(lambda: server.process.poll() is not None or _answers(server.url))
        yield server
    finally:
        server.stop()
    assert "Traceback" not in server.log.read_text()


def _answers(url):
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def _measure_peak(process, peaks, done):
    while not done.is_set():
        peaks.append(process.memory_info().rss)
        time.sleep(0.01)


def test_fifty_megabytes_are_accepted_in_flat_memory(process, noise, tmp_path, wait_until):
    """An upload of 50 MB is accepted, and the server's memory does not grow with it."""
    server = psutil.Process(process.process.pid)
    head = noise(1.0)
    path = tmp_path / "big.wav"
    data_bytes = LARGE_BYTES - 44
    header = head[:4] + (data_bytes + 36).to_bytes(4, "little") + head[8:40] + data_bytes.to_bytes(4, "little")
    path.write_bytes(header + head[44:] + bytes(data_bytes - len(head) + 44))
    with httpx.Client(base_url=process.url, timeout=60) as client:
        warm = client.post("/upload", files={"file": ("warm.wav", head)}).json()["status_url"]
        wait_until(lambda: client.get(warm).json()["status"] == "ready")
        before, peaks, done = server.memory_info().rss, [], threading.Event()
        sampler = threading.Thread(target=_measure_peak, args=(server, peaks, done))
        sampler.start()
        try:
            started = time.perf_counter()
            with path.open("rb") as file:
                answer = client.post("/upload", files={"file": ("big.wav", file)})
            seconds = time.perf_counter() - started
        finally:
            done.set()
            sampler.join()
        assert answer.status_code == 202, answer.text
        grown = max(peaks) - before
        print(f"50 MB were accepted after {seconds:.2f} s, with {grown / 1e6:.1f} MB more memory")  # noqa: T201
        assert grown < 60e6
        client.post(f"/cancel/{answer.json()['project_id']}")


def test_a_server_that_is_stopped_stops(process, noise, wait_until):
    """A signal ends the server in spite of an upload that hangs; the job that ran is given back, at no cost to it."""
    with httpx.Client(base_url=process.url) as client, _begin(process) as line:
        accepted = client.post(
            "/upload", data={"model": "testing:slow-200ms"}, files={"file": ("a.wav", noise(60.0))}
        ).json()
        wait_until(lambda: client.get(accepted["status_url"]).json()["progress"] > 0)
        line.sendall(_as_chunk(PART))
        assert process.stop() == 0
    database = open_database(f"sqlite:///{process.folder / 'isomix.db'}")
    with database.read() as work:
        job = work.projects.get_status(accepted["project_id"], workers_seen_after=database.now()).job
    database.close()
    assert (job.state, job.attempts, job.fence) == (JobState.QUEUED, 0, 1)
    assert not [path for path in (process.folder / "objects").rglob("*") if path.name == "mixture"]
