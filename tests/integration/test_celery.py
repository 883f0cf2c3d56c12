"""Celery on a real Redis with real workers: what is killed, hangs, is told to stop or loses its Redis."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.service_celery import GRACE_SECONDS, PATIENCE_SECONDS, WorkerProcess, start_worker
from tests.service_redis import RedisServer

from isomix.errors import QueueUnavailable
from isomix.queue import CeleryQueue
from isomix.queue.celery_app import TASK, make_app, name_queue


@pytest.fixture
def queue(redis_server: RedisServer) -> Iterator[CeleryQueue]:
    """Give the sending side, with a short grace."""
    queue = CeleryQueue(redis_server.url, grace_seconds=GRACE_SECONDS)
    yield queue
    queue.close()


@pytest.fixture
def worker(redis_server: RedisServer, tmp_path: Path) -> Iterator[WorkerProcess]:
    """Give a worker of the route ``default``."""
    with start_worker(redis_server.url, tmp_path) as worker:
        yield worker


def enqueue(queue: CeleryQueue, job_id: str, route: str = "default", timeout_seconds: float = 60.0) -> str:
    """Send a job."""
    queue.enqueue(job_id, route=route, timeout_seconds=timeout_seconds)
    return job_id


def wait_until(is_true: Callable[[], bool], worker: WorkerProcess | None = None) -> None:
    """Wait for something that must become true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, worker.log if worker else "it did not happen in time"
        time.sleep(0.02)


def enqueue_when_back(queue: CeleryQueue, job_id: str) -> None:
    """Send a job as soon as Redis takes it."""

    def is_sent() -> bool:
        try:
            enqueue(queue, job_id)
        except QueueUnavailable:
            return False
        return True

    wait_until(is_sent)


@pytest.mark.parametrize(("kind", "exit_code"), [("kill", 137), ("segv", 139)])
def test_killed_child(queue: CeleryQueue, worker: WorkerProcess, kind: str, exit_code: int) -> None:
    """Of a child that is killed the parent is told, with its exit code; what it sends again runs in a new child."""
    job_id = enqueue(queue, f"{kind}-1")
    worker.wait_for("ran", job_id)
    first = int(worker.started[0])
    assert worker.lost == [{"id": job_id, "pid": first, "exit_code": exit_code, "timed_out": False}]
    assert worker.begun == [job_id, job_id]
    assert worker.ran == [job_id]
    assert len(worker.started) == 2
    wait_until(lambda: count_unfinished(queue) == 0, worker)


def test_hanging_native_code(queue: CeleryQueue, worker: WorkerProcess) -> None:
    """Where not even signals are handled, the child is killed, the parent told, and the message is gone."""
    job_id = enqueue(queue, "hang-1", timeout_seconds=0.1)
    worker.wait_for("lost")
    assert worker.lost == [{"id": job_id, "pid": int(worker.started[0]), "exit_code": None, "timed_out": True}]
    worker.wait_for("ran", enqueue(queue, "next"))
    assert worker.ran == ["next"]
    assert worker.begun == [job_id, "next"]
    assert len(worker.lost) == 1
    wait_until(lambda: count_unfinished(queue) == 0, worker)


def test_hanging_python(queue: CeleryQueue, worker: WorkerProcess) -> None:
    """Python code is interrupted, past whatever takes exceptions for its job's own failures; the child lives on."""
    job_id = enqueue(queue, "sleep-1", timeout_seconds=0.1)
    worker.wait_for("lost")
    assert worker.lost == [{"id": job_id, "pid": int(worker.started[0]), "exit_code": None, "timed_out": True}]
    worker.wait_for("ran", enqueue(queue, "next"))
    assert worker.ran == ["next"]
    assert len(worker.started) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_whole_group", [False, True], ids=["parent", "group"])
def test_polite_stop(queue: CeleryQueue, worker: WorkerProcess, number: signal.Signals, to_whole_group: bool) -> None:
    """A first signal makes the running job return and the worker end; what waits stays for others."""
    job_id = enqueue(queue, "patient-1")
    worker.wait_for("begun", job_id)
    waiting = [enqueue(queue, f"waiting-{position}") for position in range(3)]
    (os.killpg if to_whole_group else os.kill)(worker.process.pid, number)
    assert worker.process.wait(PATIENCE_SECONDS) == 0, worker.log
    assert worker.ran == [job_id]
    assert worker.closed == worker.started
    assert not worker.lost
    assert queue.count_waiting("default") == len(waiting)
    assert count_unfinished(queue) == 0


def test_two_children(redis_server: RedisServer, queue: CeleryQueue, tmp_path: Path) -> None:
    """Two children run two jobs at a time; both are told to stop, and neither is lost."""
    with start_worker(redis_server.url, tmp_path, concurrency=2) as worker:
        jobs = [enqueue(queue, f"patient-{position}") for position in range(2)]
        wait_until(lambda: len(worker.begun) == 2, worker)
        worker.process.terminate()
        assert worker.process.wait(PATIENCE_SECONDS) == 0, worker.log
        assert sorted(worker.ran) == jobs
        assert sorted(worker.closed) == sorted(worker.started)
        assert not worker.lost


def test_idle_stop(worker: WorkerProcess) -> None:
    """A worker without a job ends at once when it is told to."""
    worker.process.terminate()
    assert worker.process.wait(PATIENCE_SECONDS) == 0, worker.log
    assert worker.closed == worker.started


def test_second_signal(queue: CeleryQueue, worker: WorkerProcess) -> None:
    """A second signal kills a job that does not return."""
    job_id = enqueue(queue, "sleep-1")
    worker.wait_for("begun", job_id)
    worker.process.terminate()
    time.sleep(0.5)
    assert worker.process.poll() is None
    worker.process.terminate()
    worker.process.wait(PATIENCE_SECONDS)
    assert [(loss["id"], loss["exit_code"]) for loss in worker.lost] == [(job_id, 137)]


def test_child_told_alone(queue: CeleryQueue, worker: WorkerProcess) -> None:
    """A child that is told to end finishes its job, which is not lost, and another takes its place."""
    job_id = enqueue(queue, "patient-1")
    worker.wait_for("begun", job_id)
    os.kill(int(worker.started[0]), signal.SIGTERM)
    worker.wait_for("ran", job_id)
    worker.wait_for("ran", enqueue(queue, "next"))
    wait_until(lambda: worker.closed == worker.started[:1], worker)
    assert worker.ran == [job_id, "next"]
    assert not worker.lost


def test_host_that_cannot_begin(redis_server: RedisServer, queue: CeleryQueue, tmp_path: Path) -> None:
    """A child that cannot be made ready tries again, and takes jobs when it is."""
    (tmp_path / "broken").touch()
    job_id = enqueue(queue, "job")
    with start_worker(redis_server.url, tmp_path) as worker:
        worker.wait_for("ran", job_id)
        assert "cannot begin" in worker.log


def test_redis_comes_back_empty(redis_server: RedisServer, queue: CeleryQueue, worker: WorkerProcess) -> None:
    """When Redis is killed and comes back with nothing, the same queue and worker go on."""
    worker.wait_for("ran", enqueue(queue, "before"))
    redis_server.kill()
    started = time.monotonic()
    with pytest.raises(QueueUnavailable):
        enqueue(queue, "meanwhile")
    assert time.monotonic() - started < 5.0
    redis_server.restart_empty()
    worker.wait_for("ran", enqueue(queue, "after"))
    assert worker.ran == ["before", "after"]


def test_stale_connection(redis_server: RedisServer, queue: CeleryQueue) -> None:
    """A restart of Redis between two messages is not noticed by whoever sends."""
    enqueue(queue, "before")
    assert queue.count_waiting("default") == 1
    redis_server.restart_empty()
    enqueue(queue, "after")
    assert queue.count_waiting("default") == 1
    redis_server.restart_empty()
    queue.check()


@pytest.mark.parametrize("is_long", [True, False])
def test_job_outlives_redis(
    redis_server: RedisServer, queue: CeleryQueue, worker: WorkerProcess, is_long: bool
) -> None:
    """A job goes on while Redis is away, and the worker takes messages when it is back."""
    job_id = enqueue(queue, "brief-1")
    worker.wait_for("begun", job_id)
    redis_server.kill()
    if is_long:
        worker.wait_for("ran", job_id)
    redis_server.restart_empty()
    enqueue_when_back(queue, "after")
    worker.wait_for("ran", "after")
    assert not worker.lost
    assert len(worker.started) == 1


def test_frozen_redis(redis_server: RedisServer, queue: CeleryQueue) -> None:
    """A Redis that does not answer is given up within seconds, and used again when it does."""
    enqueue(queue, "before")
    redis_server.freeze()
    try:
        for ask in (lambda: enqueue(queue, "meanwhile"), queue.check, lambda: queue.count_waiting("default")):
            started = time.monotonic()
            with pytest.raises(QueueUnavailable):
                ask()
            assert time.monotonic() - started < 5.0
    finally:
        redis_server.thaw()
    enqueue_when_back(queue, "after")


def test_worker_without_redis(redis_server: RedisServer, queue: CeleryQueue, tmp_path: Path) -> None:
    """A worker that finds no Redis waits for it; told to end meanwhile, it ends."""
    redis_server.kill()
    with start_worker(redis_server.url, tmp_path) as worker:
        wait_until(lambda: "Cannot connect" in worker.log, worker)
        redis_server.restart_empty()
        worker.wait_for("ran", enqueue(queue, "job"))
        redis_server.kill()
        wait_until(lambda: worker.log.count("Cannot connect") > 1, worker)
        worker.process.terminate()
        assert worker.process.wait(PATIENCE_SECONDS) == 0, worker.log


@pytest.mark.parametrize("arguments", [("two words",), ({"job": "x"},), (["x"],), (7,), (None,), (), ("x", "y")])
def test_foreign_payload(
    redis_server: RedisServer, queue: CeleryQueue, worker: WorkerProcess, arguments: tuple[object, ...]
) -> None:
    """A message that is not one id is dropped, whoever sent it; the worker goes on."""
    app = make_app(redis_server.url)
    app.send_task(TASK, arguments, queue=name_queue("default"))
    app.close()
    worker.wait_for("ran", enqueue(queue, "next"))
    assert worker.begun == ["next"]
    wait_until(lambda: count_unfinished(queue) == 0, worker)


def test_pickles_are_refused(
    redis_server: RedisServer, queue: CeleryQueue, worker: WorkerProcess, tmp_path: Path
) -> None:
    """A pickle is never loaded, and never comes back."""
    app = make_app(redis_server.url)
    app.send_task(TASK, (Bomb(tmp_path / "exploded"),), queue=name_queue("default"), serializer="pickle")
    app.close()
    worker.wait_for("ran", enqueue(queue, "next"))
    assert worker.begun == ["next"]
    assert not (tmp_path / "exploded").exists()
    assert queue.count_waiting("default") == 0
    wait_until(lambda: count_unfinished(queue) == 0, worker)


def test_routes(redis_server: RedisServer, queue: CeleryQueue, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A worker takes messages of its routes only; one of several routes takes them all."""
    enqueue(queue, "nobody", route="tpu")
    with (
        start_worker(redis_server.url, tmp_path_factory.mktemp("cpu"), "cpu") as cpu,
        start_worker(redis_server.url, tmp_path_factory.mktemp("gpu"), "gpu", "big-gpu") as gpu,
    ):
        for position in range(3):
            enqueue(queue, f"cpu-{position}", route="cpu")
            enqueue(queue, f"gpu-{position}", route="gpu" if position else "big-gpu")
        wait_until(lambda: len(cpu.ran) == len(gpu.ran) == 3, cpu)
        assert set(cpu.ran) == {"cpu-0", "cpu-1", "cpu-2"}
        assert set(gpu.ran) == {"gpu-0", "gpu-1", "gpu-2"}
    assert queue.count_waiting("tpu") == 1


def test_count_waiting(queue: CeleryQueue) -> None:
    """Messages that nobody has taken are counted, each route's own."""
    for _ in range(3):
        enqueue(queue, secrets.token_hex(8))
    queue.enqueue("late", route="default", timeout_seconds=60.0, delay_seconds=30.0)
    enqueue(queue, "other", route="other")
    assert (queue.count_waiting("default"), queue.count_waiting("other"), queue.count_waiting("none")) == (4, 1, 0)


def test_environment_of_others(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another Celery in the same process is told by its environment does not lead messages astray."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://127.0.0.1:1/0")
    queue = CeleryQueue(redis_server.url)
    enqueue(queue, "job")
    assert queue.count_waiting("default") == 1
    queue.close()


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._path),)


def count_unfinished(queue: CeleryQueue) -> int:
    """Return how many messages a worker has taken and not acknowledged."""
    count: int = queue._client.hlen("unacked")
    return count
