"""Connections to the database break while jobs run, and a lock is held for long: jobs are done all the same."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.integration.faults.conftest import local_addresses
from tests.integration.faults.site import Site, open_site
from tests.service_postgres import PostgresServer
from tests.service_redis import RedisServer

from isomix.domain.job import JobState
from isomix.errors import PersistenceError
from isomix.persistence.unit import SqlUnit

logger = logging.getLogger(__name__)


def test_jobs_survive_broken_connections(
    tmp_path: Path, redis_server: RedisServer, postgres: PostgresServer, postgres_url: str
) -> None:
    """Every connection is cut, again and again, while jobs run: they end ready, with stems that are there."""
    addresses = {"database": postgres_url, "storage": str(tmp_path / "objects"), "queue": redis_server.url}
    with open_site(tmp_path, addresses) as site:
        site.start_ready_worker(processes=2)
        projects = [site.upload("testing:slow-250ms", seconds=6, seed=seed) for seed in range(4)]
        cut, until = 0, time.monotonic() + 6.0
        while time.monotonic() < until:
            cut += postgres.terminate_connections(postgres_url)
            time.sleep(0.2)
        logger.info("cut %d connections", cut)
        assert cut > 10
        logger.info("attempts: %s", [site.check_ready(project).job.attempts for project in projects])
        site.check_swept()


def test_jobs_survive_a_database_that_is_locked(local_site: Site, tmp_path: Path) -> None:
    """Somebody writes to SQLite for longer than a lease: nobody can renew one, and the job is done in the end."""
    local_site.start_ready_worker()
    project = local_site.upload("testing:slow-250ms", seconds=6)
    local_site.wait_running(project)
    with closing(sqlite3.connect(tmp_path / "isomix.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(2 * local_site.settings.lease_seconds)
        connection.execute("ROLLBACK")
    local_site.check_ready(project)


def test_stems_stay_when_the_answer_to_their_commit_gets_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit has happened, nobody hears of it, and the database is away for a while: the stems stay."""
    with open_site(tmp_path, local_addresses(tmp_path), queue="background", lease_seconds=1.0) as site:
        with losing_answer(monkeypatch, away_seconds=1.5) as lost:
            project = site.upload("testing:slow-50ms")
            time.sleep(3.5)
            assert lost
        time.sleep(2.0)
        status = site.check_ready(project)
        assert (status.job.attempts, len(status.stems)) == (1, 4)
        site.check_swept()
        site.check_ready(project)


@contextmanager
def losing_answer(monkeypatch: pytest.MonkeyPatch, away_seconds: float) -> Iterator[list[float]]:
    """Break the connection just after the commit that makes a job succeed, and every other one for some time."""
    back_at: list[float] = []  # on the monotonic clock, once it is known
    commit, begin = SqlUnit.commit, SqlUnit.__enter__

    def commit_and_break(unit: SqlUnit) -> None:
        project = next(iter(unit.projects.list_owned("local", limit=1)), None)
        is_success = project is not None and project.job_state is JobState.SUCCEEDED
        commit(unit)
        if is_success and not back_at:
            back_at.append(time.monotonic() + away_seconds)
            raise PersistenceError("the server closed the connection unexpectedly")

    def begin_or_fail(unit: SqlUnit) -> SqlUnit:
        if back_at and time.monotonic() < back_at[0]:
            raise PersistenceError("nobody answers")
        return begin(unit)

    with monkeypatch.context() as patch:
        patch.setattr(SqlUnit, "commit", commit_and_break)
        patch.setattr(SqlUnit, "__enter__", begin_or_fail)
        yield back_at


def test_an_upload_whose_commit_gets_no_answer_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has happened: its recording stays, and its job is done."""
    commit = SqlUnit.commit

    def commit_and_break(unit: SqlUnit) -> None:
        commit(unit)
        monkeypatch.undo()
        raise PersistenceError("the server closed the connection unexpectedly")

    with open_site(tmp_path, local_addresses(tmp_path), queue="inline") as site:
        monkeypatch.setattr(SqlUnit, "commit", commit_and_break)
        site.check_ready(site.upload("testing:tiny"))
        assert len(site.studio.projects()) == 1
