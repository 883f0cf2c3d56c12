"""Any input becomes blocks of float32, or a typed refusal."""

from __future__ import annotations

import io
import sys
import tempfile
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest
import soundfile

from isomix.audio.decoders import BLOCK_SAMPLES
from isomix.audio.source import open_source, read
from isomix.errors import (
    AudioRejected,
    CorruptAudio,
    InvalidOptions,
    ObjectNotFound,
    StorageError,
    TooLong,
    UnsupportedFormat,
)

RATE = 44100


def noise(samples: int = 1000, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, samples)).astype(np.float32)


def tone(frequency_hz: float = 440, seconds: float = 1, rate: int = RATE, channels: int = 2) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * rate)) / rate)
    return np.repeat(wave[None], channels, axis=0).astype(np.float32)


def encode(audio: np.ndarray, rate: int = RATE, container: str = "WAV", subtype: str = "FLOAT") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, audio.T, rate, format=container, subtype=subtype)
    return file.getvalue()


def mux(path: Path, *streams: np.ndarray, rate: int = RATE, codec: str = "aac") -> Path:
    """Write a container with one compressed audio stream per array, through PyAV."""
    with av.open(str(path), "w") as container:
        added = [container.add_stream(codec, rate=rate, layout="stereo") for _ in streams]
        for stream, audio in zip(added, streams, strict=True):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format="fltp", layout="stereo")
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
            resampler = av.AudioResampler(format=stream.format, rate=rate, frame_size=stream.frame_size)
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    return path


def frequency_hz(audio: np.ndarray, rate: int) -> float:
    """Return the loudest frequency of the first channel."""
    return float(np.argmax(np.abs(np.fft.rfft(audio[0]))) * rate / audio.shape[1])


@pytest.fixture
def temp_folder(tmp_path, monkeypatch) -> Path:
    """Return the folder that temporary copies go to."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class Pipe(io.RawIOBase):
    """A binary file object that cannot seek and gives at most 100 bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        part = self._data.read(min(len(buffer), 100))
        buffer[: len(part)] = part
        return len(part)


def write_file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "recording.wav"
    path.write_bytes(data)
    return path


def write_object(tmp_path: Path, data: bytes) -> str:
    url = f"memory://isomix-tests/{tmp_path.name}/recording.wav"
    with fsspec.open(url, "wb") as file:
        file.write(data)
    return url


def skip_prelude(data: bytes) -> io.BytesIO:
    file = io.BytesIO(b"prelude" + data)
    file.seek(7)
    return file


@pytest.mark.parametrize(
    "make",
    [
        write_file,
        lambda folder, data: str(write_file(folder, data)),
        lambda folder, data: data,
        lambda folder, data: io.BytesIO(data),
        lambda folder, data: skip_prelude(data),
        lambda folder, data: Pipe(data),
        write_object,
        lambda folder, data: write_file(folder, data).as_uri(),
    ],
    ids=["path", "str", "bytes", "file object", "from where it stands", "pipe", "memory URL", "file URL"],
)
def test_every_kind_of_input_is_the_same_recording(make, tmp_path):
    """A float WAV is read bit for bit from wherever it comes, as often as it is asked for."""
    audio = noise(3 * BLOCK_SAMPLES // 2)
    with open_source(make(tmp_path, encode(audio))) as source:
        assert (source.sample_rate, source.channels, source.expected_samples) == (RATE, 2, audio.shape[1])
        for _ in range(2):
            blocks = list(source.blocks())
            assert all(block.dtype == np.float32 and block.flags.c_contiguous for block in blocks)
            assert [block.shape[1] for block in blocks] == [BLOCK_SAMPLES, BLOCK_SAMPLES // 2]
            np.testing.assert_array_equal(np.concatenate(blocks, axis=1), audio)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arrays_are_read_as_they_are(dtype):
    """An array of any floating type is read as float32, and is neither changed nor held on to."""
    audio = noise(5).astype(dtype)
    before = audio.copy()
    with open_source((audio, 8000.0)) as source:
        (block,) = source.blocks()
    np.testing.assert_array_equal(block, before.astype(np.float32))
    block[:] = 0
    np.testing.assert_array_equal(audio, before)
    assert source.sample_rate == 8000


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(10, np.float32),
        np.zeros((1, 2, 10), np.float32),
        np.zeros((2, 10), np.int16),
        np.zeros((2, 10), complex),
    ],
    ids=["1-D", "3-D", "int16", "complex"],
)
def test_arrays_of_another_shape_or_type_are_refused(array):
    """No axis is guessed and no integer scaled: the refusal says what is expected."""
    with pytest.raises(InvalidOptions, match=r"\(channels, samples\)"):
        open_source((array, RATE))


@pytest.mark.parametrize("rate", [0, -1, 44100.5, True, None, "44100", float("nan"), float("inf")])
def test_a_rate_is_a_positive_integer(rate):
    """Anything else is refused by name."""
    with pytest.raises(InvalidOptions, match="sample_rate"):
        open_source((noise(), rate))


@pytest.mark.parametrize(
    "source", [None, 3, noise(), [1.0, 2.0], (noise(),), (noise(), RATE, 0), io.StringIO("text"), bytearray(b"x")]
)
def test_what_cannot_be_a_recording_is_refused(source):
    """Objects that are neither bytes, paths, files nor pairs are refused before anything is read."""
    with pytest.raises(InvalidOptions):
        open_source(source)


@pytest.mark.parametrize(
    ("container", "subtype", "step"),
    [
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("RF64", "PCM_24", 2**-23),
        ("W64", "PCM_16", 2**-15),
        ("AIFF", "PCM_24", 2**-23),
        ("CAF", "PCM_16", 2**-15),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
    ],
)
def test_lossless_files_keep_every_bit(container, subtype, step):
    """What a lossless file holds is read to the last bit of its encoding."""
    audio = noise()
    back, rate = read(encode(audio, container=container, subtype=subtype))
    assert (rate, back.shape) == (RATE, audio.shape)
    np.testing.assert_allclose(back, audio, rtol=0, atol=step)


@pytest.mark.parametrize(
    ("container", "subtype", "rate"),
    [("MP3", "MPEG_LAYER_III", 44100), ("OGG", "VORBIS", 44100), ("OGG", "OPUS", 48000)],
)
def test_compressed_files_keep_length_and_pitch(container, subtype, rate):
    """MP3, Vorbis and Opus come back at their exact length, in place and in tune."""
    audio = tone(rate=rate)
    back, back_rate = read(encode(audio, rate, container, subtype))
    assert (back_rate, back.shape) == (rate, audio.shape)
    assert np.abs(back[:, 2000:-2000] - audio[:, 2000:-2000]).max() < 0.02


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 48000, 88200, 96000, 176400, 192000])
def test_rates_are_kept(rate):
    """A recording keeps its own rate, from 8 to 192 kHz."""
    audio, back_rate = read(encode(noise(), rate))
    assert (back_rate, audio.shape) == (rate, (2, 1000))


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_channels_are_kept(channels):
    """A recording keeps its own channels; matching them is the pipe's work."""
    audio = noise(100, channels)
    np.testing.assert_array_equal(read(encode(audio))[0], audio)


@pytest.mark.parametrize("samples", [0, 1, BLOCK_SAMPLES, BLOCK_SAMPLES + 1])
def test_any_length(samples):
    """No sample is lost at the edge of a block, and an empty recording is empty."""
    np.testing.assert_array_equal(read(encode(noise(samples)))[0], noise(samples))


def test_unicode_names(tmp_path):
    """A file may be called anything."""
    path = tmp_path / "Größe - 声音 🎵 with spaces.wav"
    path.write_bytes(encode(noise()))
    np.testing.assert_array_equal(read(path)[0], noise())


def test_the_content_counts_and_not_the_name(tmp_path):
    """A FLAC that is called .mp3 is a FLAC."""
    path = tmp_path / "wrong.mp3"
    path.write_bytes(encode(noise(), container="FLAC", subtype="PCM_24"))
    assert read(path)[0].shape == (2, 1000)


@pytest.mark.parametrize("name", ["tone.m4a", "tone.mp4", "tone.aac"])
def test_aac_is_read(tmp_path, name):
    """AAC in MP4 or alone is read through PyAV, in tune and not shorter than it was."""
    audio, rate = read(mux(tmp_path / name, tone(1000)))
    assert rate == RATE
    assert audio.shape[0] == 2
    assert RATE <= audio.shape[1] <= RATE + 2 * 1024
    assert abs(frequency_hz(audio, rate) - 1000) < 2


def test_aac_in_mp4_starts_where_the_recording_starts(tmp_path):
    """The encoder's delay, which the file declares, is not part of the recording."""
    audio = tone(1000)
    back = read(mux(tmp_path / "tone.m4a", audio))[0]
    assert np.abs(back[:, 3000:-3000] - audio[:, 3000 : back.shape[1] - 3000]).max() < 0.02


def test_webm_is_read(tmp_path):
    """Opus in WebM is read through PyAV."""
    audio, rate = read(mux(tmp_path / "tone.webm", tone(1000, rate=48000), rate=48000, codec="libopus"))
    assert (rate, audio.shape[0]) == (48000, 2)
    assert abs(frequency_hz(audio, rate) - 1000) < 2


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_stream_can_be_chosen(tmp_path, as_bytes):
    """Of a stem file's streams the first is read, or the one that is asked for, from a path or from bytes."""
    path = mux(tmp_path / "x.stem.mp4", *(tone(hz) for hz in (500, 1000, 2000)))
    source = path.read_bytes() if as_bytes else path
    for stream, pitch in enumerate((500, 1000, 2000)):
        audio, rate = read(source, stream=stream)
        assert abs(frequency_hz(audio, rate) - pitch) < 2


@pytest.mark.parametrize("stream", [3, -1])
def test_a_stream_that_is_not_there_is_refused(tmp_path, stream):
    """The refusal says how many streams there are."""
    path = mux(tmp_path / "x.stem.mp4", *(tone(hz) for hz in (500, 1000, 2000)))
    with pytest.raises(InvalidOptions, match="has 3 audio streams") as caught:
        open_source(path, stream=stream)
    assert caught.value.option == "stream"


def test_a_wav_has_one_stream():
    """To ask a WAV for a second stream is refused, not answered with the first."""
    with pytest.raises(InvalidOptions, match="1 audio streams"):
        open_source(encode(noise()), stream=1)


def test_a_film_without_sound_is_refused(tmp_path):
    """A container that holds no audio is of no kind that can be read."""
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=16, height=16)
        container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(UnsupportedFormat, match="no audio"):
        open_source(path)


def test_a_codec_that_nobody_knows_is_refused(tmp_path):
    """An MP4 whose audio has an unknown codec gets a typed refusal."""
    path = mux(tmp_path / "x.m4a", tone())
    with pytest.raises(AudioRejected):
        read(path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))


def test_without_pyav_the_remedy_is_named(tmp_path, monkeypatch):
    """Where PyAV is not installed, a format that needs it says how to get it, and others are read as ever."""
    path = mux(tmp_path / "x.m4a", tone())
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UnsupportedFormat, match=r'pip install "isomix\[av\]"'):
        open_source(path)
    assert read(encode(noise()))[0].shape == (2, 1000)


def test_surround_in_vorbis_has_the_order_of_wav():
    """Vorbis puts the centre second; read here, it is third, as in WAV."""
    in_vorbis_order = np.zeros((6, 44100), np.float32)
    in_vorbis_order[1] = tone()[0]
    energy = np.square(read(encode(in_vorbis_order, container="OGG", subtype="VORBIS"))[0]).sum(axis=1)
    assert np.argmax(energy) == 2


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnsupportedFormat),
        (b"Lyrics: la la la\n" * 100, UnsupportedFormat),
        ("Lyrics: la la la\n".encode("utf-16") * 100, UnsupportedFormat),
        (encode(noise())[:20], CorruptAudio),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(200), CorruptAudio),
        (b"fLaC" + bytes(200), CorruptAudio),
        (b"OggS" + bytes(200), CorruptAudio),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(200), CorruptAudio),
        (b"\x1a\x45\xdf\xa3" + bytes(200), CorruptAudio),
    ],
    ids=["empty", "text", "UTF-16 text", "cut WAV", "empty MP3", "empty FLAC", "empty Ogg", "empty MP4", "empty WebM"],
)
@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_what_is_not_whole_audio_is_refused(tmp_path, data, error, kind):
    """A file named .mp3 that is none, or only the head of a recording, gets a typed refusal that names it."""
    path = tmp_path / "song.mp3"
    path.write_bytes(data)
    with pytest.raises(error, match="song.mp3" if kind == "file" else "the bytes"):
        read(path if kind == "file" else data)


def test_a_truncated_mp3_gives_what_is_left():
    """An MP3 that was cut short is read to its last whole frame; the header still promises the rest."""
    data = encode(tone(seconds=4), container="MP3", subtype="MPEG_LAYER_III")
    with open_source(data[: len(data) // 2]) as source:
        samples = sum(block.shape[1] for block in source.blocks())
        assert RATE < samples < 3 * RATE
        assert source.expected_samples == 4 * RATE


@pytest.mark.parametrize("harm", ["cut", "flip", "scramble"])
def test_a_damaged_flac_is_refused(harm):
    """FLAC checks itself: one that is cut short or has a wrong bit is corrupt, not quietly wrong."""
    data = bytearray(encode(noise(100_000), container="FLAC", subtype="PCM_16"))
    middle = len(data) // 2
    if harm == "cut":
        data = data[:middle]
    elif harm == "flip":
        data[middle] ^= 0x10
    else:
        data[middle : middle + 5000] = np.random.default_rng(0).bytes(5000)
    with pytest.raises(CorruptAudio) as caught:
        read(bytes(data))
    assert caught.value.__cause__ is not None


def with_flac_length(data: bytes, samples: int) -> bytes:
    """Write another number of samples into a FLAC's header."""
    changed = bytearray(data)
    changed[21] = changed[21] & 0xF0 | samples >> 32
    changed[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(changed)


def test_a_flac_that_was_streamed_is_read_to_its_end():
    """A FLAC whose header leaves the length open, as encoders that write to a pipe do, is read whole."""
    audio = noise(100_000)
    data = with_flac_length(encode(audio, container="FLAC", subtype="PCM_24"), 0)
    with open_source(data) as source:
        assert source.expected_samples is None
        back = np.concatenate(list(source.blocks()), axis=1)
    np.testing.assert_allclose(back, audio, atol=2**-23)


@pytest.mark.parametrize("samples", [100_001, 2**36 - 1])
def test_a_flac_that_promises_too_much_is_corrupt(samples):
    """A FLAC that ends before its header says has lost something."""
    data = with_flac_length(encode(noise(100_000), container="FLAC", subtype="PCM_16"), samples)
    with pytest.raises(CorruptAudio):
        read(data)


def with_wav_length(data: bytes, size_bytes: int) -> bytes:
    """Write another size into a WAV's data chunk."""
    at = data.index(b"data") + 4
    return data[:at] + size_bytes.to_bytes(4, "little") + data[at + 4 :]


@pytest.mark.parametrize("size_bytes", [8001, 800_000, 0xFFFFFFFF])
def test_a_wav_that_promises_too_much_gives_what_is_there(size_bytes):
    """A WAV whose header was never corrected, as after a crash or from a pipe, is read to its end."""
    data = with_wav_length(encode(noise()), size_bytes)
    np.testing.assert_array_equal(read(data)[0], noise())


def test_a_wav_whose_header_was_never_finished_gives_what_is_there():
    """A WAV that says it is empty and is not, as a recorder leaves it that crashed, is read to its end."""
    audio = noise(50_000)
    np.testing.assert_array_equal(read(with_wav_length(encode(audio), 0))[0], audio)


def test_a_wav_that_promises_too_little_is_believed():
    """What lies after a WAV's data chunk is no audio."""
    np.testing.assert_array_equal(read(with_wav_length(encode(noise()), 800))[0], noise()[:, :100])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 70_000])
@pytest.mark.parametrize("kind", ["file", "array"])
def test_a_value_that_is_not_finite_is_located(value, position, kind):
    """NaN and infinity are refused with the sample at which the first stands."""
    audio = noise(80_000)
    audio[1, position] = audio[0, -1] = value
    with pytest.raises(CorruptAudio, match=f"at sample {position}") as caught:
        read(encode(audio) if kind == "file" else (audio, RATE))
    assert caught.value.sample == position


def test_a_double_beyond_float32_is_not_finite():
    """A value that float32 cannot hold is refused like an infinity, without a warning."""
    with pytest.raises(CorruptAudio, match="at sample 1"):
        read((np.array([[0.0, 1e300]]), RATE))


@pytest.mark.parametrize("make", [write_object, lambda folder, data: io.BytesIO(data)], ids=["URL", "file object"])
def test_temporary_copies_go_on_close(make, tmp_path, temp_folder):
    """A copy lives as long as its source is open; closing twice is harmless."""
    source = open_source(make(tmp_path, encode(noise())))
    assert list(temp_folder.iterdir())
    source.close()
    source.close()
    assert not list(temp_folder.iterdir())


@pytest.mark.parametrize("data", [b"no audio at all, only text", encode(noise())[:20]])
def test_temporary_copies_go_when_the_content_is_refused(data, temp_folder):
    """A copy that turns out to be no recording is removed at once."""
    with pytest.raises(AudioRejected):
        open_source(io.BytesIO(data))
    assert not list(temp_folder.iterdir())


def test_paths_and_bytes_need_no_copy(tmp_path, temp_folder):
    """Files on disk and bytes in memory are read where they are."""
    for source in (write_file(tmp_path, encode(noise())), encode(noise())):
        with open_source(source) as opened:
            assert opened.channels == 2
            assert not list(temp_folder.iterdir())


@pytest.mark.parametrize("path", ["missing.wav", "", "file.wav/below.wav", "."])
def test_a_path_without_a_file_is_not_found(path, tmp_path, monkeypatch):
    """A path that is missing, below a file or a folder is not found, as a FileNotFoundError too."""
    monkeypatch.chdir(tmp_path)
    Path("file.wav").write_bytes(encode(noise()))
    with pytest.raises(ObjectNotFound) as caught:
        open_source(path)
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.facts["path"] == path


def test_a_url_without_an_object_is_not_found():
    """A URL where nothing lies is not found."""
    with pytest.raises(ObjectNotFound, match=r"memory://isomix-tests/nothing\.wav"):
        open_source("memory://isomix-tests/nothing.wav")


@pytest.mark.parametrize("source", ["unheard-of://x.wav", "a" * 5000])
def test_an_address_that_cannot_be_asked_is_a_storage_error(source):
    """An unknown protocol and a name longer than the system allows are typed errors with their cause."""
    with pytest.raises(StorageError) as caught:
        open_source(source)
    assert caught.value.__cause__ is not None


def test_a_file_object_that_fails_is_a_storage_error(temp_folder):
    """An error while a file object is read is translated, and its half copy is removed."""

    class Broken(Pipe):
        def readinto(self, buffer):
            raise OSError("the line was cut")

    with pytest.raises(StorageError, match="the line was cut"):
        open_source(Broken(b""))
    assert not list(temp_folder.iterdir())


def test_messages_name_the_file_and_no_temporary_copy(tmp_path):
    """What a message says of a damaged object is its address, not where a copy lay."""
    url = write_object(tmp_path, encode(noise())[:20])
    with pytest.raises(CorruptAudio) as caught:
        open_source(url)
    assert url in str(caught.value)
    assert tempfile.gettempdir() not in str(caught.value).replace(url, "")


@pytest.mark.parametrize("kind", ["bytes", "array"])
def test_a_recording_that_turns_out_too_long_is_refused_while_it_is_read(kind):
    """Whatever the header says, reading stops with the block that passes the bound; at the bound it does not."""
    audio = noise(200_000)
    data = with_wav_length(encode(audio, rate=RATE), 0xFFFFFFFF)  # a header that lies, and is not believed
    source = data if kind == "bytes" else (audio, RATE)
    with open_source(source, max_seconds=200_000 / RATE) as opened:
        assert sum(block.shape[1] for block in opened.blocks()) == 200_000
    with open_source(source, max_seconds=100_000 / RATE) as opened:
        blocks = opened.blocks()
        assert next(blocks).shape[1] < 100_000
        with pytest.raises(TooLong) as caught:
            list(blocks)
    assert caught.value.limit_seconds == 100_000 / RATE
    assert 100_000 < caught.value.actual_seconds * RATE <= 200_000


def test_messages_use_the_name_that_was_given(tmp_path):
    """An upload that lies under another name is called by its owner's name."""
    path = tmp_path / "0123.bin"
    path.write_bytes(encode(noise())[:20])
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(CorruptAudio, match=r"^song\.wav "):
            open_source(source, name="song.wav")
    with open_source((noise(), RATE), name="the demo") as opened:
        assert opened.name == "the demo"


def test_a_wav_that_was_cut_short_says_so():
    """What a WAV's header promises is told though fewer samples are there, unless its writer could not know."""
    data = encode(noise(1000), subtype="PCM_16")
    with open_source(data[:2000]) as source:
        assert source.expected_samples == 1000
        assert sum(block.shape[1] for block in source.blocks()) < 500
    place = data.index(b"data") + 4
    with open_source(data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :]) as source:
        assert source.expected_samples == 1000


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path[1:4]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_what_goes_wrong_over_http_is_told_apart():
    """Only a server's word that there is nothing is that; secrets of a URL are in no message and no fact."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for status, kind in ((404, ObjectNotFound), (410, ObjectNotFound), (401, StorageError), (503, StorageError)):
            url = f"http://127.0.0.1:{server.server_port}/{status}.wav?signature=secret"
            with pytest.raises(kind) as caught:
                open_source(url)
            assert "secret" not in f"{caught.value} {caught.value.facts}"
            assert type(caught.value) is kind
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(StorageError) as caught:
        open_source("http://somebody:secret@127.0.0.1:1/x.wav")
    assert "secret" not in f"{caught.value} {caught.value.facts}"
