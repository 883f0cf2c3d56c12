"""An application whose worker is a thread of its own is killed, and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

from tests.integration.faults.conftest import local_addresses
from tests.integration.faults.site import Site, open_site, wait_until

from isomix.domain.job import JobState
from isomix.domain.keys import split_key

ROOT = Path(__file__).resolve().parents[3]


def test_an_application_that_was_killed_goes_on(tmp_path: Path) -> None:
    """Killed in a job and in an upload: reopened, it does all jobs; of the upload only staging is left, to be swept."""
    (tmp_path / "embedding-tmp").mkdir()
    command = [sys.executable, "-m", "tests.integration.faults.embedding", str(tmp_path)]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "embedding-tmp")}
    application = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert application.stdout is not None
        with application.stdout as lines:
            told = [line.strip() for line in islice(lines, 4)]
            assert told[3:] == ["half an upload"]
            addresses = local_addresses(tmp_path)
            with open_site(tmp_path, addresses, queue="inline") as looking:
                wait_until("a job runs", lambda: has_begun(looking, told[0]))
                application.kill()
                check_left(looking, told[:3])
    finally:
        application.kill()
        application.wait()
    (tmp_path / "tmp").rmdir()
    with open_site(tmp_path, addresses, queue="background") as site:
        for project in site.studio.projects():
            site.check_ready(project)
        assert {project.id for project in site.studio.projects()} == set(told[:3])
        site.check_swept()


def has_begun(site: Site, project_id: str) -> bool:
    """Tell whether previews of a project are there."""
    job = site.studio.status(project_id).job
    return job.state is JobState.RUNNING and job.progress.playable_samples > 0


def check_left(site: Site, ids: list[str]) -> None:
    """Assert that the uploads which were accepted are there, and the other one in staging alone."""
    assert {project.id for project in site.studio.projects()} == set(ids)
    objects = {split_key(info.key)[0] for info in site.studio.ports.store.list_objects("projects/")}
    assert objects == set(ids)
    assert site.list_staging() != []
