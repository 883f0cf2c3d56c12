"""Uploads: what is taken, what is refused, and that a refusal leaves nothing behind."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.unit.services.conftest import list_keys, make_recording, read_audio

from isomix import FREE, Ensemble, Limits, Studio
from isomix.domain.limits import period_of
from isomix.domain.project import ProjectStatus
from isomix.errors import (
    CorruptAudio,
    InvalidOptions,
    InvalidTransition,
    IsomixError,
    ObjectNotFound,
    QueueUnavailable,
    QuotaExceeded,
    TooLarge,
    TooLong,
    UnknownModel,
    UnknownStem,
    UnsupportedFormat,
)


def used(studio: Studio, owner: str) -> int:
    """Return how many uploads of this month were counted."""
    with studio.ports.database.read() as work:
        return work.usage.get(owner, period_of(studio.ports.database.now()))


def make_flac_bomb(hours: float) -> bytes:
    """Return hours of silence in a tiny file."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8000, 1, format="FLAC", subtype="PCM_16") as flac:
        for _ in range(round(hours * 60)):
            flac.write(np.zeros(8000 * 60, np.int16))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["path", "bytes", "file"])
def test_a_recording_comes_as_path_bytes_or_file(studio: Studio, tmp_path: Path, recording: bytes, kind: str) -> None:
    """All ways lead to the same stems."""
    path = tmp_path / "My Song.wav"
    path.write_bytes(recording)
    file: Any = {"path": path, "bytes": recording, "file": io.BytesIO(recording)}[kind]
    project = studio.upload(file, filename="My Song.wav")
    assert (project.name, project.status) == ("My Song.wav", ProjectStatus.READY)
    mixture = soundfile.read(io.BytesIO(recording), dtype="float64")[0]
    total = sum(read_audio(studio.open_stem(project.id, stem.name)) for stem in studio.stems(project.id))
    assert np.abs(total - mixture).max() <= 4 / 32768
    assert read_audio(studio.open_mixture(project.id)).shape == mixture.shape


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: bytes(FREE.max_bytes or 0) + make_recording(1), TooLarge),
        (lambda: b"Dear diary, today I " * 50, UnsupportedFormat),
        (lambda: make_recording(2, file_format="FLAC")[:60], CorruptAudio),
        (lambda: b"", CorruptAudio),
        (lambda: make_recording(0), CorruptAudio),
        (lambda: make_flac_bomb(5), TooLong),
    ],
    ids=["too large", "text", "cut in its header", "empty", "no samples", "hours of silence in a tiny file"],
)
def test_a_refused_upload_leaves_nothing(
    open_studio: Callable[..., Studio], make: Callable[[], bytes], error: type[IsomixError]
) -> None:
    """The right error, no object, no project, no quota spent."""
    studio = open_studio(limits_of=lambda _: FREE)
    with pytest.raises(error):
        studio.upload(make(), filename="song.wav", owner="ann")
    assert (list_keys(studio), studio.projects("ann"), used(studio, "ann")) == ([], [], 0)


class Faucet(io.RawIOBase):
    """A file that never ends, and knows how much was taken."""

    taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.taken += size
        return bytes(size)


def test_an_upload_without_end_is_cut_off(open_studio: Callable[..., Studio]) -> None:
    """Reading stops as soon as the limit is passed."""
    studio, faucet = open_studio(limits_of=lambda _: Limits(max_bytes=5_000_000)), Faucet()
    with pytest.raises(TooLarge):
        studio.upload(faucet, filename="song.wav")  # type: ignore[arg-type]
    assert faucet.taken < 7_000_000


def test_a_tiny_file_with_hours_inside_is_told_by_its_header(open_studio: Callable[..., Studio]) -> None:
    """Five hours of silence compress to almost nothing, and are too long all the same."""
    bomb = make_flac_bomb(5)
    assert len(bomb) < 1_000_000
    with pytest.raises(TooLong) as caught:
        open_studio(limits_of=lambda _: FREE).upload(bomb, filename="small.flac")
    assert caught.value.facts["actual_seconds"] == pytest.approx(5 * 3600)


def test_a_recording_that_hides_its_length_is_stopped_while_it_is_decoded(open_studio: Callable[..., Studio]) -> None:
    """The upload passes, for its header tells nothing; the worker sees the truth and the job fails with it."""
    studio = open_studio(limits_of=lambda _: Limits(max_seconds=2))
    flac = bytearray(make_recording(6, file_format="FLAC"))
    flac[21] &= 0xF0  # STREAMINFO holds the number of samples in 36 bits from the low half of byte 21; zero: unknown
    flac[22:26] = bytes(4)
    project = studio.upload(bytes(flac), filename="short.flac")
    assert project.mixture.duration is None
    failure = studio.status(project.id).error
    assert failure is not None
    assert failure.code == "too_long"
    assert list_keys(studio) == [project.mixture.key]


def test_the_months_quota_is_spent_by_accepted_uploads_alone(
    open_studio: Callable[..., Studio], recording: bytes
) -> None:
    """Two of two pass, the third is refused with its facts; deleting one gives none back; others are not touched."""
    studio = open_studio(limits_of=lambda _: Limits(projects_per_month=2))
    first = studio.upload(recording, owner="ann")
    with pytest.raises(UnsupportedFormat):
        studio.upload(b"no audio at all" * 10, owner="ann")
    studio.upload(recording, owner="ann")
    studio.delete(first.id)
    with pytest.raises(QuotaExceeded) as caught:
        studio.upload(recording, owner="ann")
    assert caught.value.facts == {"quota": "projects_per_month", "limit": 2, "actual": 2}
    assert studio.upload(recording, owner="ben").owner == "ben"


def test_concurrent_jobs_are_bounded(open_studio: Callable[..., Studio], recording: bytes) -> None:
    """While one job waits or runs, a tier with one at once takes no other."""
    studio = open_studio(queue="background", model="testing:slow-500ms", limits_of=lambda _: FREE)
    first = studio.upload(recording)
    with pytest.raises(QuotaExceeded, match="concurrent jobs"):
        studio.upload(recording)
    studio.cancel(first.id)
    studio.wait(first.id, timeout_seconds=30)
    assert studio.upload(recording, model="testing:tiny")


def test_names_that_do_not_exist_are_refused_before_a_byte_is_read(studio: Studio) -> None:
    """Model, stem and option are checked first."""
    faucet: Any = Faucet()
    with pytest.raises(UnknownModel):
        studio.upload(faucet, model="nobody")
    with pytest.raises(UnknownStem):
        studio.upload(faucet, stems=("kazoo",))
    with pytest.raises(InvalidOptions):
        studio.upload(faucet, shifts=-1)
    with pytest.raises(InvalidOptions):
        studio.upload(faucet, repo="/etc")
    assert faucet.taken == 0


def test_what_is_no_binary_file_is_refused(studio: Studio, tmp_path: Path) -> None:
    """Text and missing files get their own errors."""
    text: Any = io.StringIO("la la la")
    with pytest.raises(InvalidOptions, match="bytes"):
        studio.upload(text, filename="song.txt")
    with pytest.raises(ObjectNotFound):
        studio.upload(tmp_path / "missing.wav")


@pytest.mark.parametrize(
    ("given", "named", "says"),
    [
        ({"file": (np.zeros((2, 10), np.float32), 44100)}, "file", "a path, bytes or a binary file"),
        ({"file": None}, "file", "a path, bytes or a binary file"),
        ({"file": 5}, "file", "a path, bytes or a binary file"),
        ({"file": "memory://in.wav"}, "file", "is a URL"),
        ({"file": io.TextIOWrapper(io.BytesIO(b"\xff" * 99), "utf-8")}, "file", "not text"),
        ({"owner": None}, "owner", "not NoneType"),
        ({"owner": 5}, "owner", "not int"),
        ({"model": Ensemble({"hpss": 1.0})}, "model", "not Ensemble"),
        ({"model": Path("hpss")}, "model", "not PosixPath|not WindowsPath"),
    ],
    ids=["array", "nothing", "number", "URL", "text", "no owner", "owner's number", "ensemble", "model's path"],
)
def test_an_upload_of_another_kind_is_refused(
    studio: Studio, recording: bytes, given: dict[str, Any], named: str, says: str
) -> None:
    """A recording, an owner or a model of a kind that no upload takes is named, and nothing is kept."""
    with pytest.raises(InvalidOptions, match=says) as caught:
        studio.upload(**{"file": recording, "owner": "ann", **given})
    assert caught.value.facts["option"] == named
    assert (list_keys(studio), studio.projects("ann")) == ([], [])


@pytest.mark.parametrize("queue", ["inline", "background"])
def test_a_closed_studio_takes_no_jobs(open_studio: Callable[..., Studio], recording: bytes, queue: str) -> None:
    """Nothing would run what is uploaded or ordered again after `Studio.close`, so it is refused and not kept."""
    studio = open_studio(queue=queue)
    project = studio.upload(recording)
    studio.wait(project.id, timeout_seconds=30)
    studio.close()
    with pytest.raises(QueueUnavailable, match="closed"):
        studio.upload(recording)
    with pytest.raises(QueueUnavailable, match="closed"):
        studio.reseparate(project.id)
    assert [kept.id for kept in studio.projects()] == [project.id]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Music\\Olá.mp3", "Olá.mp3"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie: x"),
        ("\0", "recording"),
        ("x" * 500, "x" * 200),
        ("🎵.flac", "🎵.flac"),
    ],
)
def test_a_file_name_is_for_people_only(studio: Studio, recording: bytes, given: str, kept: str) -> None:
    """It loses folders and control characters, and no key contains it."""
    project = studio.upload(recording, filename=given)
    assert project.name == kept
    assert not any(kept in key for key in list_keys(studio))


def test_separating_again_replaces_the_stems(studio: Studio, recording: bytes) -> None:
    """Another model's stems take the place of the former, whose objects are gone."""
    project = studio.upload(recording)
    former = {stem.key for stem in studio.stems(project.id)}
    again = studio.reseparate(project.id, model="hpss")
    assert again.job_id != project.job_id
    assert [stem.name for stem in studio.stems(project.id)] == ["drums", "bass", "other"]
    assert not former & set(list_keys(studio))


def test_a_project_is_not_separated_twice_at_once(open_studio: Callable[..., Studio], recording: bytes) -> None:
    """While a job waits or runs, another is refused."""
    studio = open_studio(queue="background", model="testing:slow-500ms")
    project = studio.upload(recording)
    with pytest.raises(InvalidTransition):
        studio.reseparate(project.id)


def test_a_sample_rate_that_previews_cannot_have_is_refused(studio: Studio) -> None:
    """Before quota is spent or anything kept."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros((1000, 2)), 88201, format="WAV")
    with pytest.raises(UnsupportedFormat, match="88201"):
        studio.upload(file.getvalue(), owner="ann")
    assert (list_keys(studio), used(studio, "ann")) == ([], 0)
