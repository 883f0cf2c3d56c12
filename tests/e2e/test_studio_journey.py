"""One journey, the same test on every kind of database, store and queue: upload, separate, watch, play, mix, delete."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.service_s3 import S3Server

from isomix import Studio
from isomix.domain.keys import make_id
from isomix.domain.preview import HEADROOM_DB
from isomix.domain.project import ProjectStatus
from isomix.errors import ProjectNotFound
from isomix.settings import StudioSettings

PLACES = [
    ("memory", "memory", "inline"),
    ("memory", "memory", "background"),
    ("memory", "file", "background"),
    ("sqlite", "file", "inline"),
    ("sqlite", "file", "background"),
    ("sqlite", "s3", "background"),
    ("sqlite", "file", "redis"),
    ("postgres", "memory", "inline"),
    ("postgres", "s3", "inline"),
    ("postgres", "file", "redis"),
    ("postgres", "s3", "redis"),
]
"""Every value of every axis, in the pairs that make sense: what lives in one process's memory has no worker outside."""


@pytest.fixture(params=PLACES, ids="-".join)
def places(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Return the settings of one combination."""
    database, storage, queue = request.param
    settings: dict[str, Any] = {"database": "memory://", "storage": f"memory://{make_id()}", "queue": queue}
    if database == "sqlite":
        settings["database"] = f"sqlite:///{tmp_path}/studio.db"
    if database == "postgres":
        settings["database"] = request.getfixturevalue("postgres_url")
    if storage == "file":
        settings["storage"] = str(tmp_path / "objects")
    if storage == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        settings["storage"], settings["storage_options"] = request.getfixturevalue("s3_url"), server.options
    if queue == "redis":
        settings["queue"] = request.getfixturevalue("redis_server").url
    return settings


@contextlib.contextmanager
def run_worker(settings: dict[str, Any], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``isomix worker`` while the context lasts."""
    environment = {**os.environ, **StudioSettings(**settings).to_environment()}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "isomix", "worker"], env=environment, stderr=file, start_new_session=True
        )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def studio(places: dict[str, Any], tmp_path: Path) -> Iterator[Studio]:
    """Return a studio on it, with a worker process where the queue needs one."""
    with contextlib.ExitStack() as stack:
        studio = stack.enter_context(Studio.open(**places))
        if places["queue"].startswith("redis"):
            stack.enter_context(run_worker(places, tmp_path / "worker.log"))
        yield studio


def read(file: Any) -> np.ndarray:
    with file:
        return soundfile.read(io.BytesIO(file.read()), dtype="float64", always_2d=True)[0]


def make_song(seconds: float) -> tuple[bytes, np.ndarray]:
    """Return a few decaying tones over noise as a FLAC file, and its samples."""
    time = np.arange(round(44100 * seconds)) / 44100
    tones = sum(np.sin(2 * np.pi * f * time) * np.exp(-(time % 0.5) * 6) for f in (110, 440, 1760)) / 6
    noise = 0.02 * np.random.default_rng(0).standard_normal((len(time), 2))
    file = io.BytesIO()
    soundfile.write(file, tones[:, None] + noise, 44100, format="FLAC")
    return file.getvalue(), soundfile.read(io.BytesIO(file.getvalue()), dtype="float64")[0]


def check_journey(studio: Studio, song: bytes, mixture: np.ndarray, model: str) -> None:
    """Go all the way with one recording."""
    project = studio.upload(io.BytesIO(song), filename="A Song.flac", owner="ann", model=model)
    assert project.status in (ProjectStatus.PROCESSING, ProjectStatus.READY)

    seen = list(studio.watch(project.id, owner="ann", timeout_seconds=120))
    last = seen[-1]
    assert (last.status, last.error, last.progress) == (ProjectStatus.READY, None, 1.0), last
    assert last.job.attempts == 1

    stems = {stem.name: read(studio.open_stem(project.id, stem.name)) for stem in last.stems}
    assert all(audio.shape == mixture.shape for audio in stems.values())
    null_error = sum(stems.values()) - mixture
    assert 10 * np.log10((null_error**2).sum() / (mixture**2).sum()) < -20

    preview = studio.preview(project.id)
    assert (preview.complete, preview.playable_samples) == (True, len(mixture))
    for name, audio in stems.items():
        played = [read(studio.open_preview(project.id, name, segment.index)) for segment in preview.segments()]
        louder = np.concatenate(played) * 10 ** (HEADROOM_DB / 20)
        assert np.abs(louder - audio).max() < 3 / 32768
        peaks = json.loads(studio.peaks(project.id, name))
        assert max(map(abs, peaks["data"])) / 128 == pytest.approx(np.abs(audio).max(), abs=0.02)

    first, second = list(stems)[:2]
    mix = {"stems": {first: {"gain_db": -6.0}, second: {"mute": True}}, "start_seconds": 0.5}
    with studio.export(project.id, mix, format="wav", encoding="float32") as export:
        mixed = soundfile.read(io.BytesIO(export.read()), dtype="float64")[0]
    heard = sum(audio * (10 ** (-6 / 20) if name == first else 1) for name, audio in stems.items() if name != second)
    assert np.abs(mixed - heard[22050:]).max() < 1e-6

    url = studio.stem_url(project.id, first)
    assert url is None or url.startswith("http://127.0.0.1")
    assert [mine.id for mine in studio.projects("ann")] == [project.id]

    again = studio.upload(song, owner="ann", model=model)
    outcome = studio.wait(again.id, timeout_seconds=120).job.outcome
    assert outcome is not None
    assert outcome.reused

    for done in (project, again):
        studio.delete(done.id, owner="ann")
    with pytest.raises(ProjectNotFound):
        studio.status(project.id)
    assert list(studio.ports.store.list_objects("projects/")) == []
    assert {name: word for name, word in studio.health().items() if name != "workers"} == {
        "database": "ok",
        "storage": "ok",
        "queue": "ok",
    }


def test_the_journey_with_a_tiny_engine(studio: Studio) -> None:
    """Upload, progress, stems that sum to the mixture, previews, peaks, a mix, reuse, deletion: nothing is left."""
    check_journey(studio, *make_song(8), "testing:tiny")


@pytest.mark.weights
@pytest.mark.parametrize("places", [("postgres", "s3", "redis")], ids="-".join, indirect=True)
def test_the_journey_with_real_weights_on_real_music(studio: Studio, spleeter_weights: Path, reference: Path) -> None:
    """The same, with Spleeter's own weights on a real song, over PostgreSQL, S3 and a Celery worker."""
    assert spleeter_weights
    song = reference / "80srock" / "mixture.flac"
    mixture = soundfile.read(song, dtype="float64")[0]
    check_journey(studio, song.read_bytes(), mixture, "spleeter+hpss")


@pytest.mark.weights
@pytest.mark.parametrize("places", [("sqlite", "file", "background")], ids="-".join, indirect=True)
def test_stored_stems_are_as_good_as_separated_ones(studio: Studio, spleeter_weights: Path, reference: Path) -> None:
    """The vocals that a studio stores reach the signal-to-distortion ratio of the network itself on this clip."""
    assert spleeter_weights
    project = studio.upload(reference / "80srock" / "mixture.flac", model="spleeter:2stems")
    studio.wait(project.id, timeout_seconds=120)
    vocals = read(studio.open_stem(project.id, "vocals"))
    true = soundfile.read(reference / "80srock" / "vocals.flac", dtype="float64")[0]
    assert 10 * np.log10((true**2).sum() / ((true - vocals) ** 2).sum()) == pytest.approx(11.23, abs=0.05)
