"""A studio on real parts with workers that are real processes, to be killed, stopped and cut off."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import psutil
import soundfile

from isomix import Studio
from isomix.domain.job import Job, JobState
from isomix.domain.keys import split_key
from isomix.domain.project import Project, ProjectStatus
from isomix.domain.status import Status
from isomix.settings import StudioSettings

SAMPLE_RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
PATIENCE_SECONDS = 60.0
ROUNDING = len(STEMS) / 2 / 32768
"""What the stems may differ from their mixture when each is rounded to 16 bits."""


def make_recording(seconds: float, seed: int) -> bytes:
    """Return mono noise as a WAV file; another seed makes another recording, so that nothing is reused."""
    noise = 0.2 * np.random.default_rng(seed).standard_normal((round(seconds * SAMPLE_RATE), 1)).clip(-4, 4)
    file = io.BytesIO()
    soundfile.write(file, noise, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def read_audio(data: bytes) -> np.ndarray:
    """Return samples, (samples, channels)."""
    return soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)[0]


def wait_until(what: str, happens: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Return what a condition gives as soon as that is true; fail after some time."""
    deadline = time.monotonic() + seconds
    while not (found := happens()):
        assert time.monotonic() < deadline, f"in {seconds:g} s it did not happen that {what}"
        time.sleep(0.02)
    return found


class WorkerProcess:
    """A worker, in a process group of its own."""

    def __init__(self, site: Site, number: int, *, processes: int = 1, native: bool = False) -> None:
        self.log = site.folder / f"worker-{number}.log"
        command = [sys.executable, "-m", "isomix", "worker", "--processes", str(processes)]
        # Native code that hangs runs no signal handlers: with this signal blocked, Python code hangs like it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1} if native else set())
        try:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    command, env=site.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def children(self) -> list[int]:
        """Return the processes that run jobs."""
        with suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(self.process.pid).children()]
        return []

    def holds(self, job: Job) -> bool:
        """Tell whether a job is, or was last, this worker's."""
        return int(job.worker.split("/")[1]) in [self.process.pid, *self.children] if job.worker else False

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill all of it, as a power cut does."""
        self.signal(signal.SIGKILL)
        self.process.wait()


@attrs.define
class Site:
    """Where a studio's things lie, and who works for it."""

    settings: StudioSettings
    folder: Path
    studio: Studio
    workers: list[WorkerProcess] = attrs.field(factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of the processes that belong to it; their temporary files are its own."""
        return {**os.environ, **self.settings.to_environment(), "TMPDIR": str(self.folder / "tmp")}

    def start_worker(self, **choices: Any) -> WorkerProcess:
        """Start a worker, which is not ready at once."""
        worker = WorkerProcess(self, len(self.workers), **choices)
        self.workers.append(worker)
        return worker

    def start_ready_worker(self, **choices: Any) -> WorkerProcess:
        """Start a worker and wait until it says that it is there."""
        worker = self.start_worker(**choices)
        wait_until("the worker is there", lambda: self.is_ready(worker))
        return worker

    def is_ready(self, worker: WorkerProcess) -> bool:
        """Tell whether a worker has said that it is there."""
        assert worker.process.poll() is None, worker.log.read_text()
        present = {int(other.id.split("/")[1]) for other in self.studio.workers()}
        return bool(present & set(worker.children))

    def upload(self, model: str, *, seconds: float = 4.0, seed: int = 0) -> Project:
        """Upload noise."""
        return self.studio.upload(make_recording(seconds, seed), filename=f"noise-{seed}.wav", model=model)

    def get_job(self, project: Project) -> Job:
        """Return a project's job as it is now."""
        return self.studio.status(project.id).job

    def wait_running(self, project: Project, *, segments: bool = False) -> Job:
        """Wait until a worker has a project's job, and has something to show for it if that is asked for."""

        def find() -> Job | None:
            job = self.get_job(project)
            is_there = job.state is JobState.RUNNING and (job.progress.playable_samples > 0 or not segments)
            return job if is_there else None

        job: Job = wait_until("the job runs", find)
        return job

    def wait_final(self, project: Project, seconds: float = PATIENCE_SECONDS) -> Status:
        """Return a project's final status."""
        return self.studio.wait(project.id, timeout_seconds=seconds)

    def check_ready(self, project: Project, seconds: float = PATIENCE_SECONDS) -> Status:
        """Wait for a project and assert that it has exactly the right stems."""
        status = self.wait_final(project, seconds)
        assert status.status is ProjectStatus.READY, (status.error, self.describe_logs())
        assert tuple(stem.name for stem in status.stems) == STEMS
        with self.studio.open_mixture(project.id) as file:
            mixture = read_audio(file.read())
        stems = []
        for stem in status.stems:
            with self.studio.open_stem(project.id, stem.name) as file:
                stems.append(read_audio(file.read()))
            assert stem.samples == len(stems[-1]) == len(mixture)
        assert np.abs(np.sum(stems, axis=0) - mixture).max() <= ROUNDING + 1e-9
        assert np.abs(stems[0] - mixture / 2).max() <= ROUNDING
        return status

    def sweep(self) -> None:
        """Sweep as an operator does, with everything that belongs to nothing old enough."""
        time.sleep(0.05)
        environment = {**self.environment, "ISOMIX_ORPHAN_AGE_SECONDS": "0.001"}
        command = [sys.executable, "-m", "isomix", "sweep"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def check_swept(self) -> None:
        """Sweep, and assert that every object and file that is left belongs to a project or its stems."""
        self.sweep()
        store = self.studio.ports.store
        left = {split_key(info.key) for info in store.list_objects("projects/")}
        projects = self.studio.projects(limit=1000)
        stems = [stem for project in projects for stem in self.studio.stems(project.id)]
        expected = {(project.id, "") for project in projects} | {split_key(stem.key) for stem in stems}
        assert left == expected
        assert self.list_staging() == []

    def list_staging(self) -> list[Path]:
        """Return what lies in staging folders."""
        return [*(self.folder / "tmp").glob("isomix*"), *(self.folder / "objects" / ".staging").glob("*")]

    def list_attempts(self, project: Project) -> set[str]:
        """Return the attempts of a project that have left objects."""
        found = self.studio.ports.store.list_objects(f"projects/{project.id}/")
        return {attempt for info in found if (attempt := split_key(info.key)[1])}

    def describe_logs(self) -> str:
        """Return the ends of the workers' logs."""
        return "\n".join(f"--- {worker.log.name}\n{worker.log.read_text()[-3000:]}" for worker in self.workers)


@contextmanager
def open_site(folder: Path, addresses: Mapping[str, Any], **settings: Any) -> Iterator[Site]:
    """Give a site with no workers yet; end them all afterwards."""
    (folder / "tmp").mkdir()
    chosen = StudioSettings(**{"lease_seconds": 2.0, "model": "testing:tiny", **addresses, **settings})
    with Studio.open(**attrs.asdict(chosen, recurse=False)) as studio:
        site = Site(chosen, folder, studio)
        try:
            yield site
        finally:
            for worker in site.workers:
                worker.signal(signal.SIGCONT)
                worker.kill()
