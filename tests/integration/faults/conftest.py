"""The studios that the fault tests break: on SQLite and a folder, on PostgreSQL and S3; workers over Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.integration.faults.site import Site, open_site
from tests.service_redis import RedisServer

OpenSite: TypeAlias = Callable[..., Site]


def local_addresses(folder: Path) -> dict[str, Any]:
    """Return a database and a store of files."""
    return {"database": f"sqlite:///{folder / 'isomix.db'}", "storage": str(folder / "objects")}


@pytest.fixture(params=["files", "servers"])
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Return where a studio keeps its things: in files, or on PostgreSQL and S3."""
    if request.param == "files":
        return local_addresses(tmp_path)
    server = request.getfixturevalue("s3_server")
    return {
        "database": request.getfixturevalue("postgres_url"),
        "storage": request.getfixturevalue("s3_url"),
        "storage_options": server.options,
    }


@pytest.fixture
def open_studio_site(addresses: dict[str, Any], tmp_path: Path, redis_server: RedisServer) -> Iterator[OpenSite]:
    """Return what opens the test's site with settings of its own."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            open_site(tmp_path, {**addresses, "queue": redis_server.url}, **settings)
        )


@pytest.fixture
def site(open_studio_site: OpenSite) -> Site:
    """Return a site with leases of two seconds."""
    return open_studio_site()


@pytest.fixture
def local_site(tmp_path: Path, redis_server: RedisServer) -> Iterator[Site]:
    """Return a site on files, for what does not depend on where things are kept."""
    with open_site(tmp_path, {**local_addresses(tmp_path), "queue": redis_server.url}) as site:
        yield site
