"""The store refuses, stops answering, dies or is full: a typed reason or another try, and nothing half visible."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.faults.conftest import local_addresses
from tests.integration.faults.site import Site, open_site, wait_until
from tests.service_redis import RedisServer
from tests.service_s3 import S3Server, serve_s3

from isomix.domain.job import Job
from isomix.domain.project import Project, ProjectStatus
from isomix.errors import StorageError

logger = logging.getLogger(__name__)

DISK_BYTES = 16 << 20


@pytest.fixture
def own_s3() -> Iterator[S3Server]:
    """Return an S3 server that the test may stop."""
    with serve_s3() as server:
        if server.process is None:
            pytest.skip("the S3 server that was named must not be stopped")
        yield server


@pytest.fixture
def s3_site(tmp_path: Path, redis_server: RedisServer, own_s3: S3Server) -> Iterator[Site]:
    """Return a site on a server that the test may stop."""
    addresses = {**local_addresses(tmp_path), "storage": own_s3.make_bucket(), "storage_options": own_s3.options}
    with open_site(tmp_path, {**addresses, "queue": redis_server.url}, max_attempts=5) as site:
        yield site


def find_retry(site: Site, project: Project) -> Job | None:
    """Return a project's job if an attempt at it has failed, or it has ended."""
    job = site.get_job(project)
    return job if job.failure is not None or not job.is_active else None


def test_a_job_outlasts_a_store_that_stops_answering(s3_site: Site, own_s3: S3Server) -> None:
    """S3 hangs for some seconds in the middle of a job: it keeps its lease, and is done with one attempt."""
    assert own_s3.process is not None
    s3_site.start_ready_worker()
    project = s3_site.upload("testing:slow-250ms", seconds=6)
    s3_site.wait_running(project, segments=True)
    own_s3.process.send_signal(signal.SIGSTOP)
    time.sleep(2 * s3_site.settings.lease_seconds)
    own_s3.process.send_signal(signal.SIGCONT)
    assert s3_site.check_ready(project).job.attempts == 1


def test_a_job_outlasts_the_death_of_its_store(s3_site: Site, own_s3: S3Server) -> None:
    """S3 is killed in the middle of a job and started again: the job is tried again, nothing half done is visible."""
    assert own_s3.process is not None
    s3_site.start_ready_worker()
    project = s3_site.upload("testing:slow-250ms", seconds=6)
    s3_site.wait_running(project, segments=True)
    own_s3.process.kill()
    own_s3.process.wait()
    started = time.monotonic()
    with pytest.raises(StorageError):
        s3_site.upload("testing:tiny", seed=1)
    logger.info("refused after %.2f s", time.monotonic() - started)
    job = wait_until("the attempt fails", lambda: find_retry(s3_site, project))
    logger.info("the attempt failed after %.2f s: %s", time.monotonic() - started, job.failure)
    assert job.is_active
    assert job.failure.code == "storage_error"
    assert s3_site.studio.stems(project.id) == ()
    with restarted(own_s3):
        s3_site.check_ready(project)
        assert [other.id for other in s3_site.studio.projects()] == [project.id]
        s3_site.check_swept()


@contextmanager
def restarted(server: S3Server) -> Iterator[None]:
    """Start a server that was killed again, where and as it was."""
    assert server.process is not None
    environment = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
    process = subprocess.Popen(
        server.process.args, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a small disk."""
    folder = tmp_path / "objects"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "isomix-tests", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def disk_site(disk: Path, tmp_path: Path, redis_server: RedisServer) -> Iterator[Site]:
    """Return a site whose store is a small disk."""
    addresses = {"database": f"sqlite:///{tmp_path / 'isomix.db'}", "storage": str(disk), "queue": redis_server.url}
    with open_site(tmp_path, addresses, max_attempts=2) as site:
        yield site


def fill(disk: Path, leave_bytes: int) -> Path:
    """Fill a disk up to some bytes; return the file that does."""
    facts = os.statvfs(disk)
    file = disk / "ballast"
    file.write_bytes(bytes(facts.f_bavail * facts.f_frsize - leave_bytes))
    return file


@pytest.mark.parametrize(("seconds", "leave_bytes"), [(0.02, 0), (8.0, 100_000), (12.0, 1_050_000)])
def test_an_upload_onto_a_full_disk_is_refused(disk_site: Site, disk: Path, seconds: float, leave_bytes: int) -> None:
    """It is refused with that reason, whether its last bytes or its first do not fit, and leaves nothing."""
    fill(disk, leave_bytes)
    with pytest.raises(StorageError) as caught:
        disk_site.upload("testing:tiny", seconds=seconds)
    assert "full" in caught.value.hint
    assert disk_site.studio.projects() == []
    assert disk_site.list_staging() == []


def test_a_job_on_a_full_disk_fails_with_that_reason(disk_site: Site, disk: Path) -> None:
    """It is tried twice, as this site says; no stem is visible; with more room it can be asked for again."""
    disk_site.start_ready_worker()
    project = disk_site.upload("testing:slow-50ms")
    ballast = fill(disk, 200_000)
    status = disk_site.wait_final(project)
    assert (status.status, status.job.attempts) == (ProjectStatus.FAILED, 2)
    assert status.error is not None
    assert (status.error.code, status.stems) == ("storage_error", ())
    assert "full" in status.error.hint
    ballast.unlink()
    assert disk_site.list_attempts(project) == set()
    assert disk_site.list_staging() == []
    disk_site.studio.reseparate(project.id, model="testing:tiny")
    disk_site.check_ready(project)


def test_a_job_outlasts_a_disk_that_is_full_for_a_while(disk_site: Site, disk: Path) -> None:
    """The disk is full in the middle of a job, and has room again: the second attempt is the one that counts."""
    disk_site.start_ready_worker()
    project = disk_site.upload("testing:slow-250ms")
    disk_site.wait_running(project, segments=True)
    ballast = fill(disk, 0)
    wait_until("the attempt fails", lambda: find_retry(disk_site, project))
    assert disk_site.studio.stems(project.id) == ()
    ballast.unlink()
    assert disk_site.check_ready(project).job.attempts == 2
