"""Formats and encodings that stems can be written in."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from isomix.audio.formats import FORMATS, FileFormat
from isomix.errors import InvalidOptions

PAIRS = [("wav", "int16"), ("wav", "int24"), ("wav", "float32"), ("flac", "int16"), ("flac", "int24")]


@pytest.mark.parametrize(("name", "encoding"), [*PAIRS, ("mp3", None), ("ogg", None)])
def test_every_pair_can_be_written(name, encoding):
    """Each format can be written by libsndfile in each of its encodings, and reads back as such."""
    chosen, file = FileFormat.of(name, encoding), io.BytesIO()
    container = chosen.container(100, 2)
    soundfile.write(file, np.zeros((100, 2)), 44100, format=container, subtype=chosen.subtype)
    with soundfile.SoundFile(io.BytesIO(file.getvalue())) as back:
        assert (back.format, back.subtype) == (container, chosen.subtype)


def test_the_usual_encodings():
    """WAV and FLAC hold int16 unless asked; MP3 and Ogg have no choice."""
    assert [FileFormat.of(name).encoding for name in FORMATS] == ["int16", "int16", None, None]


@pytest.mark.parametrize(("name", "encoding"), [("flac", "float32"), ("mp3", "int16"), ("ogg", "int24"), ("wav", "x")])
def test_a_pair_that_does_not_exist_is_refused(name, encoding):
    """The refusal names the encodings that the format takes."""
    with pytest.raises(InvalidOptions, match="it takes") as caught:
        FileFormat.of(name, encoding)
    assert (caught.value.option, caught.value.value) == ("encoding", encoding)


@pytest.mark.parametrize("name", ["m4a", "WAV", "", ".wav"])
def test_an_unknown_format_is_refused(name):
    """The refusal names the formats there are."""
    with pytest.raises(InvalidOptions, match="wav, flac, mp3, ogg") as caught:
        FileFormat.of(name)
    assert (caught.value.option, caught.value.value) == ("format", name)


def test_what_can_clip_and_what_is_lossless():
    """Only float32 cannot clip; only MP3 and Ogg lose anything else."""
    pairs = [FileFormat.of(*pair) for pair in [*PAIRS, ("mp3", None), ("ogg", None)]]
    assert [pair.can_clip for pair in pairs] == [True, True, False, True, True, True, True]
    assert [pair.is_lossless for pair in pairs] == [True, True, True, True, True, False, False]


@pytest.mark.parametrize(("encoding", "size"), [("int16", 2), ("int24", 3), ("float32", 4)])
def test_past_four_gibibytes_wav_becomes_rf64(encoding, size):
    """A WAV whose data would not fit a 32-bit header, or of unknown length, is RF64; shorter ones are plain WAV."""
    wav = FileFormat.of("wav", encoding)
    assert wav.container(2**32 // size // 2, 2) == "RF64"
    assert wav.container(2**31 // size // 2, 2) == "WAV"
    assert wav.container(None, 2) == "RF64"
    assert wav.container(0, 2) == "WAV"


def test_other_formats_keep_their_container():
    """FLAC, MP3 and Ogg have no size in their header that could overflow."""
    assert [FileFormat.of(name).container(2**40, 2) for name in ("flac", "mp3", "ogg")] == ["FLAC", "MP3", "OGG"]


@pytest.mark.parametrize(
    ("name", "sample_rate"),
    [
        ("mp3", 96000),
        ("mp3", 44000),
        ("ogg", 200_001),
        ("ogg", 384_000),
        ("flac", 655_351),
        ("flac", 655_360),
        ("flac", 65_536),
        ("flac", 88_201),
    ],
)
def test_a_rate_that_a_format_cannot_hold_is_refused(name, sample_rate):
    """The refusal comes before any work and says which format and rate; for Ogg it saves the process."""
    with pytest.raises(InvalidOptions, match=f"{name} cannot hold {sample_rate} Hz"):
        FileFormat.of(name).check(sample_rate)


@pytest.mark.parametrize(
    ("name", "sample_rate"),
    [
        ("wav", 768_000),
        ("flac", 655_350),
        ("flac", 65_535),
        ("flac", 65_540),
        ("ogg", 200_000),
        ("ogg", 8000),
        ("mp3", 8000),
        ("mp3", 48000),
    ],
)
def test_a_rate_that_is_let_through_can_be_written(name, sample_rate):
    """At the edge of what is allowed, libsndfile does write."""
    chosen, file = FileFormat.of(name), io.BytesIO()
    chosen.check(sample_rate)
    soundfile.write(file, np.zeros((100, 2)), sample_rate, format=chosen.container(100, 2), subtype=chosen.subtype)
    assert soundfile.info(io.BytesIO(file.getvalue())).samplerate == sample_rate
