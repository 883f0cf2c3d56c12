"""Every event bus keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from isomix.events import LocalBus, RedisBus
from isomix.ports import EventBus
from isomix.testing.queues import EventBusContract

pytest_plugins = ["tests.service_redis"]


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
