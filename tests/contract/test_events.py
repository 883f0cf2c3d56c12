"""Every event bus keeps the contract."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from tests.service_redis import RedisServer

from isomix.events import LocalBus, RedisBus
from isomix.ports import EventBus
from isomix.testing.queues import EventBusContract


class TestLocalBus(EventBusContract):
    @pytest.fixture
    def bus(self) -> Iterator[EventBus]:
        bus = LocalBus()
        yield bus
        bus.close()


class TestRedisBus(EventBusContract):
    @pytest.fixture
    def bus(self, redis_url: str) -> Iterator[EventBus]:
        bus = RedisBus(redis_url)
        yield bus
        bus.close()


class TestRedisBusWithoutRedis(EventBusContract):
    """Where Redis cannot be reached, those in the same process are told all the same."""

    @pytest.fixture
    def bus(self) -> Iterator[EventBus]:
        bus = RedisBus("redis://127.0.0.1:1/0")
        yield bus
        bus.close()


SUBSCRIBER = """
import sys, threading
from isomix.events import RedisBus
called = threading.Event()
bus = RedisBus(sys.argv[1])
bus.subscribe("project", called.set)
print("ready", flush=True)
heard = called.wait(30.0)
bus.close()
sys.exit(0 if heard else 1)
"""


FORK = """
import os, sys, threading
from isomix.events import RedisBus
bus = RedisBus(sys.argv[1])
parents = threading.Event()
bus.subscribe("parents", parents.set)
child = os.fork()
if child == 0:
    heard = threading.Event()
    bus.subscribe("childs", heard.set)
    bus.publish("parents")
    bus.publish("childs")
    print("child", heard.wait(30.0) and not parents.is_set(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("parent", parents.wait(30.0), flush=True)
bus.close()
"""


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait for something that must become true."""
    deadline = time.monotonic() + 30.0
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_other_processes_hear(redis_url: str) -> None:
    """A subscriber in another process is called; one call is enough once it is ready."""
    command = [sys.executable, "-c", SUBSCRIBER, redis_url]
    with closing(RedisBus(redis_url)) as bus, subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        bus.publish("project")
        assert process.wait(60.0) == 0


def test_one_call_each(redis_url: str) -> None:
    """Who publishes to itself through Redis is called once for each change."""
    calls: list[int] = []
    with closing(RedisBus(redis_url)) as bus:
        bus.subscribe("project-once", lambda: calls.append(1))
        for _ in range(10):
            bus.publish("project-once")
        done = threading.Event()
        bus.subscribe("project-done", done.set)
        bus.publish("project-done")
        assert done.wait(30.0)
    assert len(calls) == 10


def test_one_thread_for_all(redis_url: str) -> None:
    """However many subscribe, there is one thread and one subscription; it ends with the bus."""
    before = threading.active_count()
    with closing(RedisBus(redis_url)) as bus:
        assert threading.active_count() == before
        for position in range(50):
            bus.subscribe(f"project-{position}", lambda: None)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_redis_dies_and_comes_back(redis_server: RedisServer) -> None:
    """While Redis is away this process hears itself; when it is back, everybody is called, and hears others again."""
    called = threading.Event()
    with closing(RedisBus(redis_server.url)) as bus, closing(RedisBus(redis_server.url)) as other:
        bus.subscribe("project", called.set)
        other.publish("project")
        wait_until(called.is_set)
        redis_server.kill()
        called.clear()
        bus.publish("project")
        assert called.is_set()
        called.clear()
        redis_server.restart_empty()
        wait_until(called.is_set)
        called.clear()

        def hears() -> bool:
            other.publish("project")
            return called.is_set()

        wait_until(hears)


def test_frozen_redis(redis_server: RedisServer) -> None:
    """A Redis that does not answer holds up a publisher once, not each time."""
    with closing(RedisBus(redis_server.url)) as bus:
        bus.publish("project")
        redis_server.freeze()
        started = time.monotonic()
        for _ in range(1000):
            bus.publish("project")
        redis_server.thaw()
        assert time.monotonic() - started < 10.0


def test_fork(redis_url: str) -> None:
    """A forked child can use its parent's bus, and begins without the parent's subscribers."""
    done = subprocess.run([sys.executable, "-c", FORK, redis_url], capture_output=True, text=True, timeout=120.0)
    assert done.stdout.split() == ["child", "True", "parent", "True"], done.stderr
