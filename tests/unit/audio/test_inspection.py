"""Uploads looked at before they are accepted."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isomix.audio.decoders import BLOCK_SAMPLES, AudioSource
from isomix.audio.inspection import HIGHEST_RATE_HZ, Recording, inspect
from isomix.errors import AudioRejected, CorruptAudio, StorageError, UnsupportedFormat

RATE = 48000
WRITTEN = [
    ("WAV", "PCM_16", "wav"),
    ("WAV", "FLOAT", "wav"),
    ("RF64", "PCM_24", "wav"),
    ("W64", "PCM_16", "w64"),
    ("AIFF", "PCM_16", "aiff"),
    ("AU", "PCM_16", "au"),
    ("CAF", "ALAC_16", "caf"),
    ("FLAC", "PCM_16", "flac"),
    ("OGG", "VORBIS", "ogg"),
    ("OGG", "OPUS", "ogg"),
    ("MP3", "MPEG_LAYER_III", "mp3"),
]


def noise(samples: int = RATE, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


def encode(audio: np.ndarray, container: str = "WAV", subtype: str = "PCM_16", rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, audio, rate, format=container, subtype=subtype)
    return file.getvalue()


def encode_with_pyav(container: str, codec: str, title: str = "") -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        if title:
            output.metadata["title"] = title
        stream = output.add_stream(codec, rate=RATE)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(noise(19_200).T), format="fltp", layout="stereo")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return file.getvalue()


def look(folder: Path, data: bytes) -> Recording:
    path = folder / "upload"
    path.write_bytes(data)
    return inspect(path, "song.mp3")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("container", "subtype", "kind"), WRITTEN)
def test_what_a_file_is(tmp_path, container, subtype, kind, channels):
    """Kind, rate, channels, duration and size of every format that is written here; the name counts for nothing."""
    data = encode(noise(channels=channels), container, subtype)
    recording = look(tmp_path, data)
    assert (recording.kind, recording.sample_rate, recording.channels) == (kind, RATE, channels)
    assert recording.duration == pytest.approx(1, abs=1e-3)
    assert recording.size_bytes == len(data)


@pytest.mark.parametrize(
    ("container", "codec", "kind", "duration"),
    [("mp4", "aac", "mp4", 0.4), ("adts", "aac", "aac", None), ("webm", "libopus", "webm", 0.4)],
)
def test_what_pyav_reads(tmp_path, container, codec, kind, duration):
    """MP4, AAC and WebM are told too; plain AAC has no header that would tell a duration."""
    recording = look(tmp_path, encode_with_pyav(container, codec))
    assert (recording.kind, recording.sample_rate, recording.channels) == (kind, RATE, 2)
    assert recording.duration == (duration and pytest.approx(duration, abs=0.1))


def test_a_flac_that_was_streamed_has_no_known_duration(tmp_path):
    """A header that leaves the length open gives None, and nothing is decoded to find out."""
    data = bytearray(encode(noise(), "FLAC"))
    data[21:26] = [data[21] & 0xF0, 0, 0, 0, 0]
    assert look(tmp_path, bytes(data)).duration is None


@pytest.mark.parametrize("id3_bytes", [None, 10, 300, 100_000])
@pytest.mark.parametrize("has_length", [True, False])
def test_an_mp3_tells_its_duration_or_it_is_not_known(tmp_path, has_length, id3_bytes):
    """Behind a tag of any size the first frame may tell the length; where it does not, nobody guesses by the size."""
    data = encode(noise(), "MP3", "MPEG_LAYER_III")
    assert b"Xing" in data[:64] or b"Info" in data[:64]
    if not has_length:
        data = data.replace(b"Xing", bytes(4), 1).replace(b"Info", bytes(4), 1)
    if id3_bytes is not None:
        size = bytes(id3_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
        data = b"ID3\x04\0\0" + size + bytes(id3_bytes) + data
    recording = look(tmp_path, data)
    assert (recording.kind, recording.sample_rate) == ("mp3", RATE)
    assert recording.duration == (pytest.approx(1, abs=1e-3) if has_length else None)


def test_a_tiny_flac_that_claims_hours_is_believed(tmp_path):
    """Hours of silence in few bytes have the duration that the header claims: limits can refuse them."""
    data = bytearray(encode(np.zeros((200_000, 1)), "FLAC"))
    data[22:26] = (3600 * RATE * 5).to_bytes(4, "big")
    recording = look(tmp_path, bytes(data))
    assert recording.size_bytes < 10_000
    assert recording.duration == 5 * 3600


@pytest.mark.parametrize(("container", "subtype", "kind"), WRITTEN)
def test_no_more_than_one_block_is_decoded(tmp_path, monkeypatch, container, subtype, kind):
    """However long a recording is, one block of it is decoded."""
    decoded: list[int] = []
    blocks = AudioSource.blocks

    def count(self):
        for block in blocks(self):
            decoded.append(block.shape[1])
            yield block

    monkeypatch.setattr(AudioSource, "blocks", count)
    look(tmp_path, encode(noise(8 * BLOCK_SAMPLES), container, subtype))
    assert len(decoded) == 1
    assert 0 < decoded[0] <= BLOCK_SAMPLES


@pytest.mark.parametrize("data", [b"", encode(noise(0)), encode(noise(0), "FLAC"), encode(noise(0), "AIFF")])
def test_nothing_to_hear_is_corrupt(tmp_path, data):
    """An empty file and a header without samples are refused, by the name that the owner gave."""
    with pytest.raises(CorruptAudio, match=r"song\.mp3"):
        look(tmp_path, data)


@pytest.mark.parametrize("data", [b"Dear diary, today I recorded", b"\x89PNG\r\n\x1a\n" + bytes(99), bytes(99), b"x"])
def test_what_is_no_audio_is_unsupported(tmp_path, data):
    """Texts, pictures and zeros are no audio, whatever their name ends in."""
    with pytest.raises(UnsupportedFormat, match=r"song\.mp3"):
        look(tmp_path, data)


@pytest.mark.parametrize("rate", [0, HIGHEST_RATE_HZ + 1, 2**31 - 1, 2**32 - 1])
def test_absurd_rates_are_corrupt(tmp_path, rate):
    """A header with a sample rate that no converter has is refused."""
    data = bytearray(encode(noise()))
    data[24:28] = struct.pack("<I", rate)
    with pytest.raises(CorruptAudio):
        look(tmp_path, bytes(data))


@pytest.mark.parametrize("channels", [3, 7, 64, 1000])
def test_layouts_that_nobody_knows_are_refused_before_anything_is_decoded(tmp_path, monkeypatch, channels):
    """Channels that cannot be matched are refused by the header alone: a block of a thousand would take memory."""
    monkeypatch.setattr(AudioSource, "blocks", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(UnsupportedFormat, match=f"{channels} channels"):
        look(tmp_path, encode(noise(10, channels)))


def test_surround_is_known(tmp_path):
    """5.1 can be mixed down, so it is accepted."""
    assert look(tmp_path, encode(noise(10, 6))).channels == 6


def test_a_value_that_is_not_finite_in_the_first_block_is_corrupt(tmp_path):
    """What the first block shows of damage is refused at once."""
    audio = noise()
    audio[7, 0] = np.nan
    with pytest.raises(CorruptAudio, match=r"song\.mp3 holds a value that is not finite"):
        look(tmp_path, encode(audio, subtype="FLOAT"))


def test_a_title_in_an_old_encoding_is_no_damage(tmp_path):
    """A tag that is not UTF-8 does not make a recording unreadable."""
    data = encode_with_pyav("mp4", "aac", title="Frühling")
    assert "Frühling".encode() in data
    assert look(tmp_path, data.replace("Frühling".encode(), "Frühlinge".encode("latin-1"))).kind == "mp4"


def test_a_file_that_is_gone_is_a_storage_error(tmp_path):
    """A file that is not there is the storage's fault and not the recording's."""
    with pytest.raises(StorageError, match=r"song\.mp3"):
        inspect(tmp_path / "gone", "song.mp3")


HEADS = [encode(noise(5), container, subtype)[:16] for container, subtype, _ in WRITTEN]
SHORT = [encode(noise(5000), container, subtype) for container, subtype, kind in WRITTEN]
SHORT += [encode_with_pyav("mp4", "aac"), encode_with_pyav("adts", "aac"), encode_with_pyav("webm", "libopus")]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.sampled_from([b"", *HEADS]), data=st.binary(max_size=2000))
def test_random_bytes_are_refused_with_a_typed_error(tmp_path, head, data):
    """Any bytes, also behind a good signature, are refused by a typed error or are a recording; nothing else comes."""
    with suppress(AudioRejected):
        assert isinstance(look(tmp_path, head + data), Recording)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), whole=st.sampled_from(SHORT))
def test_damaged_files_are_refused_with_a_typed_error(tmp_path, data, whole):
    """Real files that are cut short or have wrong bytes, most in their headers, give a typed error or a reading."""
    damaged = bytearray(whole)
    size = data.draw(st.one_of(st.just(300), st.just(len(damaged))))
    for position, value in data.draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 255)), max_size=20)):
        damaged[position % len(damaged)] = value
    cut = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    with suppress(AudioRejected):
        assert isinstance(look(tmp_path, bytes(damaged[:cut])), Recording)
