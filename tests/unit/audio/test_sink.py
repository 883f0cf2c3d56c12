"""Stems appear whole or not at all, and never clip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile

from isomix.audio.formats import FileFormat
from isomix.audio.sink import ArraySink, FileSink
from isomix.errors import InvalidOptions, StorageError

RATE = 44100
ALL = [("wav", "int16"), ("wav", "int24"), ("wav", "float32"), ("flac", "int16"), ("flac", "int24"), ("mp3", None)]
ALL.append(("ogg", None))
STEP = {"int16": 2**-15, "int24": 2**-23, "float32": 0.0}


def noise(samples: int = 5000, channels: int = 2, seed: int = 0, peak: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-peak, peak, (channels, samples)).astype(np.float32)


def open_sink(folder, names=("vocals", "drums"), ending="wav", encoding=None, rate=RATE, channels=2) -> FileSink:
    file_format = FileFormat.of(ending, encoding)
    return FileSink(folder, names, file_format, sample_rate=rate, channels=channels, expected_samples=None)


def write(sink: FileSink, stems: dict[str, np.ndarray], block: int = 1000) -> float:
    """Write whole stems block by block and commit."""
    samples = next(iter(stems.values())).shape[1]
    with sink:
        for start in range(0, samples, block):
            sink.write({name: audio[:, start : start + block] for name, audio in stems.items()})
        return sink.commit()


def fail_half_way(sink: FileSink) -> None:
    """Write a block and raise before anything is committed."""
    with sink:
        sink.write({"vocals": noise(seed=2), "drums": noise(seed=3)})
        raise ZeroDivisionError


def load(path: str | Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(("ending", "encoding"), ALL)
@pytest.mark.parametrize("samples", [1, 100, 1152, 5000])
@pytest.mark.parametrize("channels", [1, 2])
def test_files_have_every_sample(tmp_path, ending, encoding, samples, channels):
    """In every format the file has the stem's exact length and channels, and its rate."""
    sink = open_sink(tmp_path, ["vocals"], ending, encoding, channels=channels)
    write(sink, {"vocals": noise(samples, channels)})
    assert sink.paths == {"vocals": str(tmp_path / f"vocals.{ending}")}
    info = soundfile.info(sink.paths["vocals"])
    assert (info.frames, info.channels, info.samplerate) == (samples, channels, RATE)


@pytest.mark.parametrize(("ending", "encoding"), [pair for pair in ALL if pair[1]])
def test_lossless_files_hold_the_stem(tmp_path, ending, encoding):
    """Lossless files differ from the stem by no more than a step of their encoding."""
    sink, stem = open_sink(tmp_path, ["vocals"], ending, encoding), noise()
    assert write(sink, {"vocals": stem}) == 0
    np.testing.assert_allclose(load(sink.paths["vocals"]), stem, rtol=0, atol=STEP[encoding])


@pytest.mark.parametrize("rate", [8000, 48000])
@pytest.mark.parametrize("ending", ["mp3", "ogg"])
def test_compressed_files_sound_like_the_stem(tmp_path, ending, rate):
    """MP3 and Ogg are in place and within 5 % of a tone, at a low rate as at a high one."""
    stem = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)[None]
    sink = open_sink(tmp_path, ["vocals"], ending, rate=rate, channels=1)
    write(sink, {"vocals": stem})
    assert np.abs(load(sink.paths["vocals"]) - stem)[:, 2000:-2000].max() < 0.015


def test_an_empty_recording_is_an_empty_wav(tmp_path):
    """A recording without samples becomes WAV files without samples."""
    sink = open_sink(tmp_path)
    write(sink, {"vocals": noise(0), "drums": noise(0)})
    assert [soundfile.info(path).frames for path in sink.paths.values()] == [0, 0]


@pytest.mark.parametrize("ending", ["flac", "mp3", "ogg"])
def test_formats_that_cannot_be_empty_say_so(tmp_path, ending):
    """Other formats refuse an empty recording, name WAV and leave nothing."""
    with pytest.raises(InvalidOptions, match='format="wav"'):
        write(open_sink(tmp_path / "new", ending=ending), {"vocals": noise(0), "drums": noise(0)})
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize(("ending", "encoding"), [pair for pair in ALL if pair[1] in ("int16", "int24")])
def test_stems_that_would_clip_share_one_gain(tmp_path, ending, encoding):
    """If one stem is beyond full scale, all are lowered alike and still sum to the lowered mixture."""
    loud, soft = noise(peak=3.0), noise(seed=1, peak=0.25)
    loud[0, 17] = -4.0
    sink = open_sink(tmp_path, ending=ending, encoding=encoding)
    gain_db = write(sink, {"vocals": loud, "drums": soft})
    assert gain_db == pytest.approx(-20 * np.log10(4))
    vocals, drums = (load(path) for path in sink.paths.values())
    np.testing.assert_allclose(vocals, loud / 4, atol=STEP[encoding])
    np.testing.assert_allclose(drums, soft / 4, atol=STEP[encoding])
    np.testing.assert_allclose(vocals + drums, (loud + soft) / 4, atol=2 * STEP[encoding])
    assert np.abs(vocals).max() > 0.999


@pytest.mark.parametrize("encoding", ["int16", "float32"])
def test_peaks_are_known_before_and_after_the_commit(tmp_path, encoding):
    """The largest magnitude of each stem is that of everything written so far, before any gain."""
    loud, soft = noise(peak=3.0), noise(seed=1, peak=0.25)
    with open_sink(tmp_path, encoding=encoding) as sink:
        assert sink.peaks == {"vocals": 0, "drums": 0}
        for start in (0, 2500):
            sink.write({"vocals": loud[:, start : start + 2500], "drums": soft[:, start : start + 2500]})
            heard = {"vocals": np.abs(loud[:, : start + 2500]).max(), "drums": np.abs(soft[:, : start + 2500]).max()}
            assert sink.peaks == heard
        gain_db = sink.commit()
        assert sink.peaks == heard
    assert sink.peaks == heard
    written = {name: np.abs(load(path)).max() for name, path in sink.paths.items()}
    assert written == pytest.approx({name: peak * 10 ** (gain_db / 20) for name, peak in heard.items()}, abs=2**-15)


@pytest.mark.parametrize("ending", ["mp3", "ogg"])
def test_compressed_stems_share_one_gain_too(tmp_path, ending):
    """MP3 and Ogg are lowered like the integer formats."""
    stem = 2 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)[None]
    sink = open_sink(tmp_path, ["vocals", "drums"], ending, channels=1)
    assert write(sink, {"vocals": stem, "drums": stem / 8}) == pytest.approx(-6.02, abs=0.01)
    vocals, drums = (load(path)[:, 2000:-2000] for path in sink.paths.values())
    np.testing.assert_allclose(vocals, stem[:, 2000:-2000] / 2, atol=0.03)
    np.testing.assert_allclose(drums, stem[:, 2000:-2000] / 16, atol=0.03)


def test_floats_do_not_clip(tmp_path):
    """float32 holds what is beyond full scale: nothing is lowered and every bit is kept."""
    sink, loud = open_sink(tmp_path, ["vocals"], encoding="float32"), noise(peak=30)
    assert write(sink, {"vocals": loud}) == 0
    np.testing.assert_array_equal(load(sink.paths["vocals"]), loud)


@pytest.mark.parametrize("encoding", ["int16", "int24"])
def test_full_scale_is_not_beyond_it(tmp_path, encoding):
    """A stem that touches full scale on both sides is written as it is and does not wrap around."""
    stem = np.tile(np.array([[1.0, -1.0, 0.5]], np.float32), 100)
    sink = open_sink(tmp_path, ["vocals"], encoding=encoding, channels=1)
    assert write(sink, {"vocals": stem}) == 0
    np.testing.assert_allclose(load(sink.paths["vocals"]), stem, atol=STEP[encoding])


def test_the_length_that_a_header_promised_chooses_only_the_container(tmp_path):
    """A recording that may pass 4 GiB becomes RF64; what is in it is what came."""
    for expected, container in ((2**31, "RF64"), (100, "WAV")):
        floats = FileFormat.of("wav", "float32")
        sink = FileSink(tmp_path, ["vocals"], floats, sample_rate=RATE, channels=2, expected_samples=expected)
        write(sink, {"vocals": noise()})
        assert soundfile.info(sink.paths["vocals"]).format == container
        np.testing.assert_array_equal(load(sink.paths["vocals"]), noise())


def test_nothing_bears_a_final_name_before_the_end(tmp_path):
    """While stems are written, the folder shows no file of theirs; after `commit` nothing else."""
    with open_sink(tmp_path / "new") as sink:
        sink.write({"vocals": noise(), "drums": noise()})
        visible = [path for path in (tmp_path / "new").iterdir() if not path.name.startswith(".")]
        assert visible == []
        sink.commit()
    assert everything_below(tmp_path) == ["new", "new/drums.wav", "new/vocals.wav"]


def test_an_error_in_the_middle_leaves_nothing(tmp_path):
    """What fails half-way leaves neither files nor the folders that were made for them."""
    with pytest.raises(ZeroDivisionError):
        fail_half_way(open_sink(tmp_path / "a" / "b"))
    assert everything_below(tmp_path) == []


def test_without_commit_nothing_appears(tmp_path):
    """Leaving without `commit` discards everything, even without an error."""
    with open_sink(tmp_path / "new") as sink:
        sink.write({"vocals": noise(), "drums": noise()})
    assert everything_below(tmp_path) == []


def test_a_failed_run_leaves_older_files(tmp_path):
    """Stems of an earlier run stay as they were when a later one fails, and other files always."""
    (tmp_path / "notes.txt").write_text("mine")
    write(open_sink(tmp_path), {"vocals": noise(), "drums": noise(seed=1)})
    before = (tmp_path / "vocals.wav").read_bytes()
    with pytest.raises(ZeroDivisionError):
        fail_half_way(open_sink(tmp_path))
    assert (tmp_path / "vocals.wav").read_bytes() == before
    assert everything_below(tmp_path) == ["drums.wav", "notes.txt", "vocals.wav"]


def test_a_later_run_replaces_the_files(tmp_path):
    """A run that succeeds replaces the stems of an earlier one."""
    for seed in (0, 1):
        write(open_sink(tmp_path, encoding="float32"), {"vocals": noise(seed=seed), "drums": noise()})
    np.testing.assert_array_equal(load(tmp_path / "vocals.wav"), noise(seed=1))


def test_a_name_that_a_folder_bears_stops_all(tmp_path):
    """If one stem's name is taken by a folder, no other stem appears either."""
    (tmp_path / "vocals.wav").mkdir()
    with pytest.raises(StorageError, match=r"vocals\.wav is a folder"):
        write(open_sink(tmp_path, ["drums", "vocals"]), {"drums": noise(), "vocals": noise()})
    assert everything_below(tmp_path) == ["vocals.wav"]


@pytest.mark.parametrize("below", ["file", "file/folder"])
def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path, below):
    """Where a file stands, no folder can be: the error names the folder and keeps the cause."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError) as caught:
        write(open_sink(tmp_path / below), {"vocals": noise(), "drums": noise()})
    assert caught.value.facts["path"] == str(tmp_path / below)
    assert isinstance(caught.value.__cause__, OSError)
    assert everything_below(tmp_path) == ["file"]


FULL_DISK = """
import resource, signal, sys
import numpy as np
from isomix.audio.formats import FileFormat
from isomix.audio.sink import FileSink
from isomix.errors import StorageError

folder, limit_bytes, *pairs = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit_bytes), int(limit_bytes)))
noise = np.random.default_rng(0).uniform(-1, 1, (2, 200_000)).astype("f4")
for pair in pairs:
    format = FileFormat.of(*pair.split())
    sink = FileSink(folder, ["vocals"], format, sample_rate=44100, channels=2, expected_samples=None)
    try:
        with sink:
            for start in range(0, 200_000, 50_000):
                sink.write({"vocals": noise[:, start : start + 50_000]})
            sink.commit()
        sys.exit(f"{pair} was written")
    except StorageError as error:
        if error.path != folder or not error.hint or error.__cause__ is None:
            sys.exit(f"{pair}: {error}")
"""


@pytest.mark.parametrize("limit_bytes", [10, 100_000])
def test_a_full_disk_is_a_storage_error(tmp_path, limit_bytes):
    """When the disk takes no more bytes, at the first or half-way, nothing is left and the error says so."""
    pairs = [" ".join(filter(None, pair)) for pair in ALL]
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "new"), str(limit_bytes), *pairs]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert everything_below(tmp_path) == []


def test_a_url_takes_stems_too(tmp_path):
    """At an fsspec URL stems appear under their names, and no temporary object is left."""
    url = f"memory://isomix-tests/{tmp_path.name}/out"
    sink = open_sink(url, encoding="float32")
    write(sink, {"vocals": noise(), "drums": noise(seed=1)})
    assert sink.paths == {"vocals": f"{url}/vocals.wav", "drums": f"{url}/drums.wav"}
    with fsspec.open(sink.paths["drums"], "rb") as file:
        np.testing.assert_array_equal(load(file), noise(seed=1))
    system, folder = fsspec.url_to_fs(url)
    assert sorted(Path(name).name for name in system.ls(folder, detail=False)) == ["drums.wav", "vocals.wav"]


@pytest.mark.parametrize("url", ["memory://", "memory:///"])
def test_the_root_of_a_store_takes_stems(tmp_path, url):
    """A URL without a folder is the store's root."""
    sink = open_sink(url, [tmp_path.name])
    write(sink, {tmp_path.name: noise()})
    system = fsspec.filesystem("memory")
    assert system.exists(f"/{tmp_path.name}.wav")
    system.rm(f"/{tmp_path.name}.wav")


def test_a_failed_run_leaves_nothing_at_a_url(tmp_path):
    """What fails half-way leaves no object."""
    url = f"memory://isomix-tests/{tmp_path.name}/out"
    with pytest.raises(ZeroDivisionError):
        fail_half_way(open_sink(url))
    system, folder = fsspec.url_to_fs(url)
    assert not system.exists(folder)


def test_an_upload_that_fails_leaves_nothing_under_a_final_name(tmp_path):
    """If the store refuses a stem, none gets its name, no temporary object is left and the error is typed."""
    (tmp_path / "store").write_text("a file where a folder should be")
    with pytest.raises(StorageError) as caught:
        write(open_sink((tmp_path / "store" / "out").as_uri()), {"vocals": noise(), "drums": noise()})
    assert isinstance(caught.value.__cause__, OSError)
    assert everything_below(tmp_path) == ["store"]


def test_an_unknown_protocol_is_a_storage_error():
    """A URL that no installed package understands is refused before any work."""
    with pytest.raises(StorageError, match="unheard-of"), open_sink("unheard-of://bucket/out"):
        pass


@pytest.mark.parametrize("ending", ["mp3", "ogg"])
def test_a_rate_that_the_format_cannot_hold_is_refused_first(tmp_path, ending):
    """The refusal comes before a folder is made."""
    with pytest.raises(InvalidOptions):
        open_sink(tmp_path / "new", ending=ending, rate=384_000)
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("expected", [None, 0, 5000, 4000, 9000, 2**40])
def test_arrays_are_collected_whatever_the_header_said(expected):
    """In memory, stems are as long as what came, whether the header knew, lied or was silent."""
    with ArraySink(["vocals", "drums"], 2, expected) as sink:
        for start in range(0, 5000, 700):
            sink.write({"vocals": noise()[:, start : start + 700], "drums": noise(seed=1)[:, start : start + 700]})
        assert sink.commit() == 0
    np.testing.assert_array_equal(sink.arrays["vocals"], noise())
    np.testing.assert_array_equal(sink.arrays["drums"], noise(seed=1))


def test_nothing_collected_is_an_empty_array():
    """Without a block, arrays have their channels and no samples."""
    assert ArraySink(["vocals"], 1, 100).arrays["vocals"].shape == (1, 0)
