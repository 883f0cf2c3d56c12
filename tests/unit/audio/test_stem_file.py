"""One stem into one file."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from isomix.audio.formats import FileFormat
from isomix.audio.stem_file import StemFile
from isomix.errors import IntegrityError


@pytest.fixture
def open_file():
    """Opens stem files of two channels at 44.1 kHz, and lets go of them."""
    opened = []

    def open_file(path, encoding="int16", file_format="wav"):
        chosen = FileFormat.of(file_format, encoding)
        opened.append(StemFile(path, chosen, sample_rate=44100, channels=2, expected_samples=None))
        return opened[-1]

    yield open_file
    for file in opened:
        file.discard()


def noise(samples, seed=0):
    """Stereo noise below full scale."""
    return (0.2 * np.random.default_rng(seed).standard_normal((2, samples))).clip(-1, 0.99).astype(np.float32)


@pytest.mark.parametrize("encoding", ["int16", "int24", "float32"])
def test_what_is_read_back_is_the_nearest_step(encoding, open_file, tmp_path):
    """Samples are rounded to the nearest step of the encoding, without a bias."""
    audio, file = noise(10_000), open_file(tmp_path / "stem.wav", encoding)
    file.write(audio)
    file.end()
    file.seal(1.0).result()
    back, _ = soundfile.read(tmp_path / "stem.wav", dtype="float64")
    step = {"int16": 2**-15, "int24": 2**-23, "float32": 2**-149}[encoding]
    assert np.abs(back.T - audio).max() <= step / 2
    assert abs((back.T - audio).mean()) < step / 20


def test_a_gain_is_applied_to_what_was_never_rounded(open_file, tmp_path):
    """Sealing with a gain encodes the float samples again: values beyond full scale come back scaled, not clipped."""
    audio, file = 3 * noise(200_000), open_file(tmp_path / "stem.wav")
    file.write(audio)
    file.end()
    assert file.peak == np.abs(audio).max() > 1
    file.seal(1 / file.peak).result()
    back, _ = soundfile.read(tmp_path / "stem.wav", dtype="float64")
    assert np.abs(back.T * file.peak - audio).max() <= file.peak * 2**-15


@pytest.mark.parametrize(("encoding", "file_format"), [("int16", "wav"), ("int24", "flac"), ("float32", "wav")])
def test_a_byte_that_changes_on_the_disk_is_noticed(encoding, file_format, open_file, tmp_path):
    """A file that does not read back as it was written is refused, though its length is right."""
    path = tmp_path / f"stem.{file_format}"
    file = open_file(path, encoding, file_format)
    file.write(noise(50_000))
    file.end()
    assert 0 < file.peak < 1
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with pytest.raises((IntegrityError, soundfile.SoundFileError)):
        file.seal(1.0).result()


def test_two_runs_write_the_same_bytes(open_file, tmp_path):
    """Float files carry no time of writing."""

    def write(name):
        file = open_file(tmp_path / name, "float32")
        file.write(noise(1000))
        file.end()
        file.seal(1.0).result()
        return (tmp_path / name).read_bytes()

    first = write("first.wav")
    time.sleep(1.1)  # the time that libsndfile would write has a resolution of a second
    assert write("second.wav") == first


def test_an_error_of_the_encoder_reaches_the_writer(open_file, tmp_path):
    """What the thread raises is raised by the next calls, not lost."""
    file = open_file(tmp_path / "stem.wav")
    file.write(np.zeros((3, 10), np.float32))
    with pytest.raises(ValueError, match="shape"):
        _ = file.peak
    file.discard()


def test_discarding_stops_the_thread(open_file, tmp_path):
    """A discarded file takes nothing more."""
    file = open_file(tmp_path / "stem.wav")
    file.write(noise(10))
    file.discard()
    with pytest.raises(RuntimeError, match="shutdown"):
        file.write(noise(10))


def test_flushing_changes_nothing_of_a_file(open_file, tmp_path, monkeypatch):
    """A file that the disk is waited for after each block holds the same bytes, and was flushed as often."""
    flushed = []
    flush = soundfile.SoundFile.flush
    monkeypatch.setattr(soundfile.SoundFile, "flush", lambda file: (flushed.append(file.name), flush(file))[1])

    def write(name, limit):
        monkeypatch.setattr("isomix.audio.stem_file.FLUSHED_BYTES", limit)
        file = open_file(tmp_path / name)
        for seed in range(4):
            file.write(noise(1000, seed))
        file.end()
        file.seal(1.0).result()
        return (tmp_path / name).read_bytes(), sum(Path(os.fsdecode(name_)).name == name for name_ in flushed)

    (seldom, few), (often, many) = write("seldom.wav", 1 << 30), write("often.wav", 5000)
    assert seldom == often
    assert many == few + 2


def test_a_spool_that_was_cut_short_is_noticed(open_file, tmp_path):
    """What is to be encoded again and is no longer whole is refused."""
    file = open_file(tmp_path / "stem.wav")
    file.write(3 * noise(50_000))
    file.end()
    assert file.peak > 1
    os.truncate(tmp_path / "stem.spool", 1000)
    with pytest.raises(IntegrityError, match="spool"):
        file.seal(0.5).result()
