"""A studio that is closed by a hook of ``atexit``, when Python's thread pools take nothing more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.services.conftest import make_recording

from isomix import Studio
from isomix.domain.job import JobState

SCRIPT = """
import atexit, sys, time
from concurrent.futures import ThreadPoolExecutor
from isomix import Studio
from isomix.testing.engines import TinyEngine

database, storage, recording, way = sys.argv[1:]
separate = TinyEngine._separate

def separate_in_a_pool(engine, mixture):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(separate, engine, mixture).result()

if way == "a pool for each segment":
    TinyEngine._separate = separate_in_a_pool
studio = Studio.open(database, storage, "background", model="testing:slow-100ms")
atexit.register(studio.close)
project = studio.upload(recording)
while not studio.status(project.id).playable_seconds:
    time.sleep(0.01)
print(project.id)
"""


@pytest.mark.parametrize("way", ["as engines do", "a pool for each segment"])
@pytest.mark.slow
def test_a_job_that_is_interrupted_by_the_end_of_python_waits_for_another_process(
    open_studio: Callable[..., Studio], tmp_path: Path, way: str
) -> None:
    """It is queued again, and the attempt does not count; also where the engine stumbled over the shutdown itself."""
    recording, database = tmp_path / "recording.wav", f"sqlite:///{tmp_path}/studio.db"
    recording.write_bytes(make_recording(60))
    arguments = [database, str(tmp_path / "objects"), str(recording), way]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True)
    job = open_studio(database=database, storage=arguments[1]).status(done.stdout.strip()).job
    assert (job.state, job.attempts, job.failure) == (JobState.QUEUED, 0, None)
