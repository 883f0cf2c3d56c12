"""The same page where the parts are far apart: PostgreSQL, S3, and workers over Redis that may be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import soundfile
from tests.e2e.app.listening import RATE, export, render_in_page, snr_db
from tests.e2e.app.test_page import PLAYER, real_song, upload, wait_for, wait_for_status
from tests.service_postgres import PostgresServer
from tests.service_s3 import S3Server

if TYPE_CHECKING:
    from tests.e2e.app.browser import Server

__all__ = ["real_song"]

pytest_plugins = ("tests.e2e.app.browser",)


@pytest.fixture(scope="module")
def server_environment(postgres: PostgresServer, s3_server: S3Server, redis_url: str) -> Iterator[dict[str, str]]:
    """Return the variables that point the application and its workers at the services."""
    with postgres.new_database() as database:
        yield {
            "ISOMIX_DATABASE": database,
            "ISOMIX_STORAGE": f"{s3_server.make_bucket()}/studio",
            "ISOMIX_STORAGE_OPTIONS": json.dumps(s3_server.options),
            "ISOMIX_QUEUE": redis_url,
            "ISOMIX_LEASE_SECONDS": "3",
        }


@contextlib.contextmanager
def run_worker(server: Server, log: Path) -> Iterator[Callable[[], None]]:
    """Run a worker with a server's settings; give what kills it with all its processes."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "isomix", "worker"],
            env=server.environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    try:
        yield kill
    finally:
        kill()


@pytest.mark.weights
def test_the_whole_journey_on_services(
    spleeter_weights: Path,
    start_server: Callable[..., Server],
    open_page: Callable[..., Any],
    tmp_path: Path,
    real_song: Path,
) -> None:
    """A real song is separated by a worker elsewhere, sounds before that ends, and its export is what was heard."""
    assert spleeter_weights
    server = start_server(ISOMIX_MODEL="spleeter+hpss")
    with run_worker(server, tmp_path / "worker.log"):
        page = open_page(server)
        upload(page, real_song)
        page.wait_for_selector(".mixer")
        page.locator(".play-button").click()
        wait_for(page, f"{PLAYER}.position > 0.5 && {PLAYER}.state === 'playing'")
        assert page.locator(".song").get_attribute("data-status") == "pending"
        wait_for_status(page, "ready")
        page.get_by_role("button", name="Mute Bass").click()
        page.get_by_role("slider", name="Gain of Drums").fill("-3")
        path, mix, gain_db = export(page, tmp_path)
    exported, rate = soundfile.read(path, dtype="float32")
    rendered = render_in_page(page, mix) * 10 ** (gain_db / 20)
    assert (rate, exported.T.shape) == (RATE, rendered.shape)
    assert snr_db(exported.T, rendered) >= 60


def test_a_worker_killed_in_the_middle_is_told_and_replaced(
    start_server: Callable[..., Server],
    open_page: Callable[..., Any],
    make_recording: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """The page says that a worker was lost, another one takes over, and the song gets ready."""
    server = start_server(ISOMIX_MODEL="testing:slow-700ms")
    page = open_page(server)
    with run_worker(server, tmp_path / "first.log") as kill:
        upload(page, make_recording(14))
        wait_for(page, "isomixTest.view && document.querySelector('.mixer') !== null")
        wait_for(page, f"{PLAYER} !== undefined")
        kill()
    with run_worker(server, tmp_path / "second.log"):
        page.locator(".job .warning", has_text="A worker was lost").wait_for(timeout=60_000)
        wait_for_status(page, "ready")
    assert render_in_page(page).shape == (2, 14 * RATE)
