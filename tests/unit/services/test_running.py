"""One job from its claim to its end, whatever happens on the way."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import soundfile
from tests.unit.services.conftest import list_keys, make_recording, read_audio

from isomix import Studio
from isomix.domain.job import Job, JobState
from isomix.domain.preview import HEADROOM_DB
from isomix.domain.project import ProjectStatus
from isomix.errors import InvalidTransition, ObjectNotFound, ProjectNotFound, StemNotReady, StorageError, UnknownStem
from isomix.ports import ObjectStore
from isomix.services.jobs import change_job

LONG = 60.0
"""Seconds after which a test gives up waiting."""


def get_job(studio: Studio, job_id: str) -> Job:
    with studio.ports.database.read() as work:
        return work.jobs.get(job_id)


def wait_until(condition: Callable[[], object]) -> None:
    """Return when it holds; fail after a long time."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_a_finished_job_tells_how_it_went(studio: Studio, recording: bytes) -> None:
    """Device, runtime, null error and time are remembered; so are peak, size and digest of each stem."""
    project = studio.upload(recording)
    status = studio.status(project.id)
    outcome = status.job.outcome
    assert outcome is not None
    assert (outcome.device, outcome.reused, status.progress, status.phase) == ("cpu", False, 1.0, "done")
    assert outcome.null_error_db is not None
    assert outcome.null_error_db < -100
    for stem in status.stems:
        info = studio.ports.store.get_info(stem.key)
        assert (info.size_bytes, stem.samples, stem.channels) == (stem.size_bytes, 3 * 44100, 2)
        assert stem.peak == pytest.approx(np.abs(read_audio(studio.open_stem(project.id, stem.name))).max(), abs=1e-4)


def test_an_engine_that_fails_fails_the_job_with_its_reason(studio: Studio, recording: bytes) -> None:
    """The owner reads a code and a hint; what the attempt stored is gone, the mixture stays."""
    project = studio.upload(recording, model="testing:failing")
    status = studio.status(project.id)
    assert status.error is not None
    assert (status.status, status.error.code) == (ProjectStatus.FAILED, "out_of_memory")
    assert list_keys(studio) == [project.mixture.key]
    with pytest.raises(StemNotReady):
        studio.open_stem(project.id, "vocals")
    with pytest.raises(UnknownStem):
        studio.open_stem(project.id, "kazoo")


def test_a_message_that_comes_twice_is_harmless(studio: Studio, recording: bytes) -> None:
    """The second run finds nothing to do: one attempt, the same stems."""
    project = studio.upload(recording)
    before = studio.status(project.id)
    studio.ports.queue.enqueue(project.job_id, route="default", timeout_seconds=1)
    assert studio.status(project.id) == before
    assert before.job.attempts == 1


def test_a_running_job_is_cancelled_within_a_segment(open_studio: Callable[..., Studio]) -> None:
    """Long before its minute of work is over it is cancelled, and what it stored is gone."""
    studio = open_studio(queue="background", model="testing:slow-500ms")
    project = studio.upload(make_recording(120))
    wait_until(lambda: studio.status(project.id).job.state is JobState.RUNNING)
    studio.cancel(project.id)
    status = studio.wait(project.id, timeout_seconds=20)
    assert (status.status, status.job.failure, status.stems) == (ProjectStatus.CANCELLED, None, ())
    wait_until(lambda: list_keys(studio) == [project.mixture.key])
    assert studio.cancel(project.id).status is ProjectStatus.CANCELLED


def test_a_waiting_job_is_cancelled_at_once(open_studio: Callable[..., Studio], recording: bytes) -> None:
    """Nobody ever runs it."""
    studio = open_studio(queue="background", model="testing:slow-500ms")
    studio.upload(make_recording(60))
    second = studio.upload(recording)
    assert studio.status(second.id).queue_position == 0 or studio.status(second.id).queue_position == 1
    assert studio.cancel(second.id).status is ProjectStatus.CANCELLED
    assert get_job(studio, second.job_id).attempts == 0


def test_a_finished_job_cannot_be_cancelled(studio: Studio, recording: bytes) -> None:
    """It says so, and stays ready."""
    project = studio.upload(recording)
    with pytest.raises(InvalidTransition):
        studio.cancel(project.id)
    assert studio.status(project.id).status is ProjectStatus.READY


@pytest.mark.slow
def test_a_job_that_takes_too_long_fails(open_studio: Callable[..., Studio]) -> None:
    """It is stopped between two segments and tells its limit."""
    studio = open_studio(model="testing:slow-3000ms", timeout_seconds=1, lease_seconds=2)
    status = studio.status(studio.upload(make_recording(4)).id)
    assert status.error is not None
    assert (status.error.code, status.job.attempts) == ("job_timed_out", 1)


@pytest.mark.slow
def test_a_long_recording_has_as_much_time_as_it_lasts(open_studio: Callable[..., Studio]) -> None:
    """Half a second of work a second of audio is in time, though more than the timeout in all."""
    studio = open_studio(model="testing:slow-500ms", timeout_seconds=1, lease_seconds=2)
    assert studio.status(studio.upload(make_recording(4)).id).status is ProjectStatus.READY


def test_a_recording_of_unknown_length_has_as_much_time_as_it_may_last(
    open_studio: Callable[..., Studio],
) -> None:
    """Five seconds of MP3 at 32 kbit/s or more, without a tag that tells them, get at least five seconds."""
    recording = bytearray(make_recording(5, file_format="MP3", subtype="MPEG_LAYER_III"))
    tag = max(recording.find(b"Xing"), recording.find(b"Info"))
    recording[tag : tag + 4] = bytes(4)
    studio = open_studio(timeout_seconds=1)
    project = studio.upload(bytes(recording))
    assert project.mixture.duration is None
    assert 5 <= studio.status(project.id).job.timeout_seconds <= 8 * len(recording) / 32_000


@pytest.mark.slow
def test_an_engine_that_hangs_fails_its_job(
    open_studio: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is kept, so that no other worker is hung in turn; after some grace the job ends with the reason."""
    monkeypatch.setattr("isomix.services.heartbeat.UNHEEDED_SECONDS", 2.0)
    monkeypatch.setattr("isomix.queue.background.PATIENCE_SECONDS", 0.1)
    studio = open_studio(queue="background", model="testing:stuck", timeout_seconds=1, lease_seconds=0.5)
    project = studio.upload(make_recording(4))
    status = studio.wait(project.id, timeout_seconds=LONG)
    assert status.error is not None
    assert (status.error.code, status.job.attempts) == ("job_timed_out", 1)
    studio.close()


def test_a_worker_whose_job_went_to_another_leaves_no_trace(open_studio: Callable[..., Studio]) -> None:
    """It stops by itself; the job is the other's, and no stem or object of the late one is seen."""
    studio = open_studio(queue="background", model="testing:slow-200ms", lease_seconds=1)
    project = studio.upload(make_recording(60))
    wait_until(lambda: studio.status(project.id).playable_seconds > 0)
    change_job(studio.ports.database, project.job_id, lambda job, now: job.lose(now, 3))
    other = change_job(
        studio.ports.database, project.job_id, lambda job, now: job.claim("other", now, timedelta(minutes=9))
    )
    first = f"projects/{project.id}/{project.job_id}-1/"
    wait_until(lambda: not any(key.startswith(first) for key in list_keys(studio)))
    present = get_job(studio, project.job_id)
    assert (present.worker, present.fence, present.state) == ("other", other.fence, JobState.RUNNING)
    assert studio.stems(project.id) == ()


def test_deleting_a_project_stops_its_job(open_studio: Callable[..., Studio]) -> None:
    """The worker notices, and nothing of the project is left."""
    studio = open_studio(queue="background", model="testing:slow-200ms", lease_seconds=1)
    project = studio.upload(make_recording(60))
    wait_until(lambda: studio.status(project.id).playable_seconds > 0)
    studio.delete(project.id)
    with pytest.raises(ProjectNotFound):
        studio.status(project.id)
    wait_until(lambda: not studio.workers()[0].job_id)
    wait_until(lambda: list_keys(studio) == [])


def test_equal_work_is_done_once(studio: Studio, recording: bytes) -> None:
    """The second project gets copies: bit for bit the same, and they stay when the first project is deleted."""
    first, second = studio.upload(recording), studio.upload(recording)
    outcome = studio.status(second.id).job.outcome
    assert outcome is not None
    assert outcome.reused
    for stem in studio.stems(second.id):
        with studio.open_stem(first.id, stem.name) as one, studio.open_stem(second.id, stem.name) as other:
            assert one.read() == other.read()
    studio.delete(first.id)
    assert studio.preview(second.id).complete
    assert read_audio(studio.open_stem(second.id, "vocals")).shape == (3 * 44100, 2)
    assert len(read_audio(studio.open_preview(second.id, "vocals", 0))) == 44100


@pytest.mark.parametrize(
    "other", [{"owner": "ben"}, {"stems": ("drums",)}, {"overlap": 0.5}, {"model": "testing:loud"}], ids=str
)
def test_what_is_not_equal_is_computed(studio: Studio, recording: bytes, other: dict[str, Any]) -> None:
    """Another owner, other stems, other options, another model: nothing is reused."""
    studio.upload(recording, owner="ann")
    project = studio.upload(recording, **{"owner": "ann", **other})
    outcome = studio.status(project.id).job.outcome
    assert outcome is not None
    assert not outcome.reused


class FaultyStore:
    """A store that refuses to store for some time, as a full disk or a bucket without permission does."""

    def __init__(self, store: ObjectStore, faults: int, *, part: str) -> None:
        self._store, self._faults, self._part = store, faults, part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_file(self, key: str, path: Path) -> None:
        if self._part in key and self._faults:
            self._faults -= 1
            raise StorageError("no space left on device", hint="the disk is full", path=key)
        self._store.put_file(key, path)


def make_faulty(studio: Studio, faults: int, part: str) -> None:
    """Give a studio a store that refuses so many times."""
    store: Any = FaultyStore(studio.ports.store, faults, part=part)
    object.__setattr__(studio.ports, "store", store)


@pytest.mark.parametrize("part", ["preview", "stems"])
def test_a_store_that_comes_back_costs_an_attempt(studio: Studio, recording: bytes, part: str) -> None:
    """The job is tried again and ends ready; only the last attempt's objects are there."""
    make_faulty(studio, 2, part)
    status = studio.status(studio.upload(recording).id)
    assert (status.status, status.job.attempts) == (ProjectStatus.READY, 3)
    assert all(f"{status.job.id}-3/" in key or key.endswith("mixture.wav") for key in list_keys(studio))


def test_a_store_that_stays_away_fails_the_job_with_its_reason(studio: Studio, recording: bytes) -> None:
    """After the third attempt, the cause is what the owner reads."""
    make_faulty(studio, 99, "stems")
    project = studio.upload(recording)
    status = studio.status(project.id)
    assert status.error is not None
    assert (status.error.code, status.error.hint, status.job.attempts) == ("storage_error", "the disk is full", 3)
    assert list_keys(studio) == [project.mixture.key]


def test_a_refused_upload_object_leaves_no_rows(studio: Studio, recording: bytes) -> None:
    """Where the mixture cannot be stored there is no project, and no quota is spent."""
    make_faulty(studio, 1, "mixture")
    with pytest.raises(StorageError):
        studio.upload(recording)
    assert studio.projects() == []


def test_a_mixture_that_is_gone_fails_the_job_at_once(open_studio: Callable[..., Studio], recording: bytes) -> None:
    """Trying again would not bring it back."""
    studio = open_studio()
    project = studio.upload(recording)
    studio.ports.store.delete(project.mixture.key)
    studio.reseparate(project.id, model="hpss")
    status = studio.status(project.id)
    assert status.error is not None
    assert (status.error.code, status.job.attempts) == ("object_not_found", 1)
    assert len(status.stems) == 4
    with pytest.raises(ObjectNotFound):
        studio.open_mixture(project.id)


def test_stems_beyond_full_scale_share_one_gain_and_the_mix_undoes_it(studio: Studio) -> None:
    """Files do not clip; stems played with their gains undone sum to the mixture."""
    recording = make_recording(3, level=0.3)
    project = studio.upload(recording, model="testing:loud")
    stems = studio.stems(project.id)
    assert stems[0].gain_db < 0
    assert len({stem.gain_db for stem in stems}) == 1
    assert max(stem.peak for stem in stems) == pytest.approx(1.0, abs=1e-3)
    with studio.export(project.id, format="wav", encoding="float32") as export:
        mixed = soundfile.read(io.BytesIO(export.read()), dtype="float64")[0]
    mixture = soundfile.read(io.BytesIO(recording), dtype="float64")[0]
    assert np.abs(mixed - mixture).max() < 4 * 2 / 32768


@pytest.mark.slow
def test_previews_can_be_played_while_the_separation_runs(open_studio: Callable[..., Studio]) -> None:
    """The manifest grows before the job ends, and every segment in it is there and in its place."""
    studio = open_studio(queue="background", model="testing:slow-200ms")
    recording = make_recording(12)
    project = studio.upload(recording)
    wait_until(lambda: studio.preview(project.id).playable_samples >= 3 * 44100)
    preview = studio.preview(project.id)
    assert (preview.complete, studio.status(project.id).status) == (False, ProjectStatus.PROCESSING)
    mixture = soundfile.read(io.BytesIO(recording), dtype="float64")[0]
    for segment in preview.segments():
        audio = read_audio(studio.open_preview(project.id, "vocals", segment.index, attempt=preview.attempt))
        expected = 0.5 * mixture[segment.start : segment.start + segment.samples]
        assert np.abs(audio * 10 ** (HEADROOM_DB / 20) - expected).max() < 2 / 32768 * 2
    with pytest.raises(StemNotReady):
        studio.open_preview(project.id, "vocals", 99)
    studio.wait(project.id, timeout_seconds=LONG)
    assert studio.preview(project.id).playable_samples == 12 * 44100
    assert studio.preview(project.id).attempt == preview.attempt


def test_peaks_are_there_when_the_project_is_ready(studio: Studio, recording: bytes) -> None:
    """They are audiowaveform JSON of the stem's length."""
    import json

    project = studio.upload(recording)
    facts = json.loads(studio.peaks(project.id, "drums"))
    assert (facts["version"], facts["bits"], facts["sample_rate"]) == (2, 8, 44100)
    assert facts["length"] == len(facts["data"]) // 2
    assert facts["length"] * facts["samples_per_pixel"] >= 3 * 44100


@pytest.mark.slow
def test_a_studio_that_closes_gives_its_job_back(open_studio: Callable[..., Studio], tmp_path: Path) -> None:
    """The next one takes it up again, without a counted attempt, and ends it."""
    places = {"database": f"sqlite:///{tmp_path}/studio.db", "storage": str(tmp_path / "objects")}
    first = open_studio(queue="background", model="testing:slow-200ms", **places)
    project = first.upload(make_recording(20))
    wait_until(lambda: first.status(project.id).playable_seconds > 0)
    first.close()
    second = open_studio(queue="background", **places)
    status = second.wait(project.id, timeout_seconds=LONG)
    assert (status.status, status.job.attempts, status.job.fence) == (ProjectStatus.READY, 1, 2)


def test_jobs_of_several_threads_keep_to_their_own_recordings(open_studio: Callable[..., Studio]) -> None:
    """Four uploads at once, run in four threads: each one's stems sum to its own mixture."""
    studio = open_studio()
    recordings = [make_recording(1 + number / 4, seed=number) for number in range(4)]
    projects: dict[int, str] = {}

    def upload(number: int) -> None:
        projects[number] = studio.upload(recordings[number]).id

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    for number, recording in enumerate(recordings):
        mixture = soundfile.read(io.BytesIO(recording), dtype="float64")[0]
        stems = [read_audio(studio.open_stem(projects[number], stem.name)) for stem in studio.stems(projects[number])]
        assert np.abs(sum(stems) - mixture).max() <= 4 / 32768


def test_records_of_a_job_survive_json(studio: Studio, recording: bytes) -> None:
    """What the database gives back is what was asked for."""
    project = studio.upload(recording, stems=("drums", "vocals"), seed=3, shifts=1)
    recipe = get_job(studio, project.job_id).recipe
    assert (recipe.stems, recipe.seed, recipe.shifts) == (("drums", "vocals"), 3, 1)
    assert attrs.evolve(recipe, seed=4) != recipe
