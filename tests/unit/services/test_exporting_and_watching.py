"""Mixes as files, and what watchers see."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.unit.services.conftest import make_recording, read_audio

from isomix import Mix, Studio
from isomix.domain.mix import Track
from isomix.domain.project import ProjectStatus
from isomix.errors import InvalidOptions, ProjectNotFound, StemNotReady, UnknownStem, WaitTimedOut


def test_a_mix_equals_summing_the_stems_with_its_gains(studio: Studio, recording: bytes) -> None:
    """Gains, mute and master gain, to the accuracy of the file."""
    project = studio.upload(recording)
    stems = {stem.name: read_audio(studio.open_stem(project.id, stem.name)) for stem in studio.stems(project.id)}
    mix = Mix(stems={"vocals": Track(gain_db=-6), "bass": Track(mute=True), "drums": Track(gain_db=3)}, gain_db=-2)
    with studio.export(project.id, mix, format="wav", encoding="float32") as export:
        mixed = soundfile.read(io.BytesIO(export.read()), dtype="float64")[0]
    master = 10 ** (-2 / 20)
    expected = master * (stems["vocals"] * 10 ** (-6 / 20) + stems["drums"] * 10 ** (3 / 20) + stems["other"])
    assert np.abs(mixed - expected).max() < 1e-6


@pytest.mark.parametrize(("file_format", "media_type"), [("wav", "audio/wav"), ("flac", "audio/flac")])
def test_a_stretch_is_cut_to_the_sample(studio: Studio, recording: bytes, file_format: str, media_type: str) -> None:
    """Start and end count in samples of the recording, in any format without loss."""
    project = studio.upload(recording, filename="My Song.wav")
    with studio.export(project.id, {"start_seconds": 0.5, "end_seconds": 1.25}, format=file_format) as export:
        assert (export.media_type, export.filename) == (media_type, f"My Song (mix).{file_format}")
        assert export.duration == pytest.approx(0.75)
        mixed = soundfile.read(io.BytesIO(export.read()), dtype="float64")[0]
    mixture = soundfile.read(io.BytesIO(recording), dtype="float64")[0]
    assert mixed.shape == (33075, 2)
    assert np.abs(mixed - mixture[22050 : 22050 + 33075]).max() < 6 / 32768


@pytest.mark.parametrize("file_format", ["mp3", "ogg"])
def test_lossy_formats_hold_the_mix(studio: Studio, recording: bytes, file_format: str) -> None:
    """MP3 and Ogg decode to about the length of the mix."""
    project = studio.upload(recording)
    with studio.export(project.id, format=file_format) as export:
        assert abs(len(soundfile.read(io.BytesIO(export.read()))[0]) - 3 * 44100) < 4000


def test_a_mix_that_would_clip_is_lowered_and_says_so(studio: Studio, recording: bytes, tmp_path: Path) -> None:
    """The headroom is negative, the gain makes up for it, and the file has the mix's shape to its highest peak."""
    project = studio.upload(recording)
    with studio.export(project.id, {"gain_db": 20}, format="flac") as export:
        assert export.headroom_db < 0
        assert export.gain_db == pytest.approx(export.headroom_db, abs=0.01)
        export.save(tmp_path / "mix.flac")
    loud = soundfile.read(tmp_path / "mix.flac")[0]
    assert np.abs(loud).max() == pytest.approx(1.0, abs=1e-3)
    mixture = soundfile.read(io.BytesIO(recording))[0]
    assert np.abs(loud / 10 ** ((20 + export.gain_db) / 20) - mixture).max() < 4 / 32768


def test_a_mix_of_nothing_is_silence(studio: Studio, recording: bytes) -> None:
    """All stems muted: as long as the recording, and silent, with all headroom there is."""
    project = studio.upload(recording)
    mix = {"stems": {stem.name: {"mute": True} for stem in studio.stems(project.id)}}
    with studio.export(project.id, mix) as export:
        assert export.headroom_db == float("inf")
        mixed = soundfile.read(io.BytesIO(export.read()))[0]
    assert mixed.shape == (3 * 44100, 2)
    assert not mixed.any()


def test_an_export_leaves_no_file_behind(studio: Studio, recording: bytes) -> None:
    """It is gone with its closing, twice or once, and after an error too."""
    project = studio.upload(recording)
    export = studio.export(project.id)
    place = Path(str(export.raw.name))  # type: ignore[attr-defined]
    assert place.exists()
    export.close()
    export.close()
    assert not place.parent.exists()


def test_what_cannot_be_mixed_is_refused(studio: Studio, recording: bytes) -> None:
    """Unknown stems, starts beyond the end, formats that do not exist, projects that failed."""
    project = studio.upload(recording)
    with pytest.raises(UnknownStem):
        studio.export(project.id, {"stems": {"kazoo": {}}})
    with pytest.raises(InvalidOptions):
        studio.export(project.id, {"start_seconds": 4})
    with pytest.raises(InvalidOptions):
        studio.export(project.id, format="exe")
    failed = studio.upload(recording, model="testing:failing")
    with pytest.raises(StemNotReady):
        studio.export(failed.id)


@pytest.mark.slow
def test_watchers_see_a_project_grow(open_studio: Callable[..., Studio]) -> None:
    """Progress never falls within an attempt, something can be played before the end, the last word is final."""
    studio = open_studio(queue="background", model="testing:slow-200ms")
    project = studio.upload(make_recording(10))
    seen = list(studio.watch(project.id, timeout_seconds=60))
    assert [status.progress for status in seen] == sorted(status.progress for status in seen)
    assert any(0 < status.playable_seconds < 10 for status in seen)
    assert seen[-1].status is ProjectStatus.READY
    assert all(not status.is_final for status in seen[:-1])


def test_waiting_ends_with_patience(open_studio: Callable[..., Studio]) -> None:
    """The job goes on all the same."""
    studio = open_studio(queue="background", model="testing:slow-500ms")
    project = studio.upload(make_recording(30))
    with pytest.raises(WaitTimedOut) as caught:
        studio.wait(project.id, timeout_seconds=0.3)
    assert isinstance(caught.value, TimeoutError)
    assert studio.status(project.id).status is ProjectStatus.PROCESSING


def test_callbacks_hear_of_changes_until_they_are_taken_off(open_studio: Callable[..., Studio]) -> None:
    """An asynchronous application is woken from another thread."""
    studio = open_studio(queue="background", model="testing:slow-200ms")
    calls: list[float] = []
    project = studio.upload(make_recording(5))
    stop = studio.on_change(project.id, lambda: calls.append(time.monotonic()))
    studio.wait(project.id, timeout_seconds=60)
    assert calls
    stop()
    count = len(calls)
    studio.delete(project.id)
    assert len(calls) == count


def test_another_owners_project_is_not_there(studio: Studio, recording: bytes) -> None:
    """Nobody learns whether an id exists that is not theirs."""
    project = studio.upload(recording, owner="ann")
    for call in (
        lambda: studio.status(project.id, owner="ben"),
        lambda: studio.open_stem(project.id, "vocals", owner="ben"),
        lambda: studio.export(project.id, owner="ben"),
        lambda: studio.cancel(project.id, owner="ben"),
        lambda: studio.delete(project.id, owner="ben"),
        lambda: studio.reseparate(project.id, owner="ben"),
        lambda: studio.open_preview(project.id, "vocals", 0, owner="ben"),
        lambda: next(studio.watch(project.id, owner="ben")),
    ):
        with pytest.raises(ProjectNotFound):
            call()
    assert studio.projects("ben") == []
    assert [mine.id for mine in studio.projects("ann")] == [project.id]


def test_a_signed_address_saves_a_stem_under_the_songs_title(
    studio: Studio, recording: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ending of the uploaded file is not part of it."""
    monkeypatch.setattr(type(studio.ports.store), "sign_url", lambda _, __, ___, filename: filename)
    project = studio.upload(recording, filename="song.one.mp3")
    assert studio.stem_url(project.id, "drums") == "song.one - drums.flac"
