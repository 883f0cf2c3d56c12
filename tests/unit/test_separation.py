"""`separate` and `Separator`: what callers build on."""

from __future__ import annotations

import io
import pickle
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import fsspec
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import isomix
from isomix.errors import (
    AudioRejected,
    CorruptAudio,
    EngineUnavailable,
    InvalidOptions,
    ObjectNotFound,
    SeparationCancelled,
    SeparationFailed,
    StorageError,
    TooLong,
    UnknownModel,
    UnknownStem,
    UnsupportedFormat,
    WeightsUnavailable,
)
from isomix.separation import suggesting_another_model
from isomix.testing.engines import failing_spec, pass_through_spec

RATE = 44100
HOP, LENGTH = 3072, 4096
SPEC = pass_through_spec(length=LENGTH, hop=HOP)
FOUR = pass_through_spec(length=LENGTH, hop=HOP, stems=("vocals", "drums", "bass", "other"))


def noise(samples: int = 30_000, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (channels, samples)).astype(np.float32)


def wav(audio: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, audio.T, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def temp_folder(tmp_path, monkeypatch) -> Path:
    """Return the folder that temporary copies go to."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("samples", [0, 1, 100, HOP - 1, HOP, HOP + 1, LENGTH, LENGTH + 1, 100_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_passes_through_comes_back_bit_for_bit(samples, channels):
    """At the engine's rate, mono or stereo, of any length, no bit of the recording is changed."""
    mixture = noise(samples, channels)
    separation = isomix.separate((mixture, RATE), SPEC)
    np.testing.assert_array_equal(separation["vocals"].array, mixture)
    assert separation["vocals"].array.dtype == np.float32
    assert separation["accompaniment"].array.shape == (channels, samples)
    assert not separation["accompaniment"].array.any()
    assert not separation.residual.array.any()
    assert (separation.samples, separation.channels, separation.sample_rate) == (samples, channels, RATE)
    assert separation.null_error_db == -np.inf


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(0, 70_000),
    channels=st.sampled_from([1, 2]),
    overlap=st.sampled_from([None, 0.0, 0.1, 0.5, 0.9]),
    batch_size=st.sampled_from([None, 1, 3, 8]),
    shifts=st.sampled_from([0, 1, 2]),
)
def test_no_option_changes_what_passes_through(samples, channels, overlap, batch_size, shifts):
    """Overlap, batches and shifts are free to choose: what passes through is the recording, bit for bit."""
    mixture = noise(samples, channels)
    separation = isomix.separate((mixture, RATE), SPEC, overlap=overlap, batch_size=batch_size, shifts=shifts)
    np.testing.assert_array_equal(separation["vocals"].array, mixture)


@settings(max_examples=25, deadline=None)
@given(
    samples=st.integers(0, 30_000),
    rate=st.sampled_from([8000, 11025, 16000, 22050, 32000, 48000, 96000, 192000]),
    channels=st.sampled_from([1, 2]),
    engine_channels=st.sampled_from([1, 2]),
)
def test_at_other_rates_the_length_is_exact(samples, rate, channels, engine_channels):
    """Stems have the recording's rate, channels and sample count, whatever the engine's."""
    spec = pass_through_spec(channels=engine_channels)
    stem = isomix.separate((noise(samples, channels), rate), spec)["vocals"]
    assert stem.array.shape == (channels, samples)
    assert stem.sample_rate == rate
    assert stem.duration == samples / rate


@pytest.mark.parametrize("rate", [22050, 48000])
def test_at_other_rates_stems_are_in_place(rate):
    """A sine that went through an engine of another rate lies over itself."""
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)[None]
    separation = isomix.separate((tone, rate), SPEC)
    assert np.abs(separation["vocals"].array - tone)[:, 2000:-2000].max() < 1e-3
    assert separation.null_error_db < -30


@pytest.mark.parametrize("channels", [6, 8])
def test_surround_is_mixed_down_and_noted(channels):
    """A surround recording comes back stereo, by the standard's coefficients, and the result says so."""
    mixture = np.zeros((channels, 5000), np.float32)
    mixture[2] = noise(5000, 1)[0]
    separation = isomix.separate((mixture, RATE), SPEC)
    np.testing.assert_allclose(separation["vocals"].array, np.repeat(mixture[2:3], 2, axis=0) * 0.5**0.5, rtol=1e-6)
    assert separation.channels == 2
    assert separation.notes == (f"{channels} channels were mixed down to 2 (ITU-R BS.775)",)


def test_other_layouts_are_refused():
    """A recording of three channels is refused with what is understood."""
    with pytest.raises(UnsupportedFormat, match="has 3 channels"):
        isomix.separate((noise(100, 3), RATE), SPEC)


def test_derived_stems():
    """Accompaniment is the mixture minus the vocals, residual the mixture minus every stem, in the order asked for."""
    mixture = noise()
    separation = isomix.separate((mixture, RATE), FOUR, stems=["accompaniment", "residual", "vocals"])
    assert list(separation) == ["accompaniment", "residual", "vocals"]
    np.testing.assert_array_equal(separation["vocals"].array, mixture)
    assert not separation["accompaniment"].array.any()
    assert not separation["residual"].array.any()


def test_an_accompaniment_needs_only_the_vocals():
    """Of a model's four stems only the vocals are computed for an accompaniment; then no null error is known."""
    separation = isomix.separate((noise(), RATE), FOUR, stems=["accompaniment"])
    assert separation.options.stems == ("vocals",)
    assert separation.null_error_db is None
    with pytest.raises(UnknownStem, match="residual was not kept"):
        _ = separation.residual


def test_a_subset_of_stems():
    """Only the stems that were asked for come back."""
    separation = isomix.separate((noise(), RATE), FOUR, stems=["bass", "drums"])
    assert list(separation) == ["bass", "drums"]
    assert separation.options.stems == ("drums", "bass")


@pytest.mark.parametrize("kind", ["path", "str", "bytes", "file", "URL", "array"])
def test_any_source_gives_the_same_stems(kind, tmp_path):
    """Wherever the recording comes from, the stems are the same."""
    mixture, path, url = noise(), tmp_path / "größe.wav", f"memory://isomix-tests/{tmp_path.name}.wav"
    path.write_bytes(wav(mixture))
    with fsspec.open(url, "wb") as file:
        file.write(wav(mixture))
    sources = {
        "path": path,
        "str": str(path),
        "bytes": wav(mixture),
        "file": io.BytesIO(wav(mixture)),
        "URL": url,
        "array": (mixture, RATE),
    }
    np.testing.assert_array_equal(isomix.separate(sources[kind], SPEC)["vocals"].array, mixture)


@pytest.mark.parametrize("encoding", ["int16", "int24"])
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_integer_recordings_keep_their_integers(tmp_path, ending, encoding):
    """A recording in integers that passes through to files of the same encoding is the same, integer by integer."""
    bits = int(encoding[3:])
    integers = np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (30_000, 2)) << (32 - bits)
    path = tmp_path / f"in.{ending}"
    soundfile.write(path, integers.astype(np.int32), RATE, subtype=f"PCM_{bits}")
    separation = isomix.separate(path, SPEC, output=tmp_path / "out", format=ending, encoding=encoding)
    assert separation.gain_db == 0
    back, _ = soundfile.read(separation["vocals"].path, dtype="int32")
    np.testing.assert_array_equal(back, integers)


@pytest.mark.parametrize(("ending", "encoding"), [("wav", None), ("wav", "float32"), ("flac", "int24"), ("ogg", None)])
def test_files_appear_under_their_names(tmp_path, ending, encoding):
    """With `output` the stems are files of the exact length in a folder made for them, and nothing else is there."""
    separation = isomix.separate((noise(), RATE), SPEC, output=tmp_path / "a" / "b", format=ending, encoding=encoding)
    names = {name: str(tmp_path / "a" / "b" / f"{name}.{ending}") for name in SPEC.stems}
    assert {name: stem.path for name, stem in separation.items()} == names
    assert sorted(files_below(tmp_path / "a" / "b")) == sorted(f"{name}.{ending}" for name in SPEC.stems)
    assert [soundfile.info(path).frames for path in names.values()] == [30_000, 30_000]
    assert separation["vocals"].array.shape == (2, 30_000)


def test_a_stem_is_never_written_over_its_recording(tmp_path):
    """Where a stem's file would be the recording itself, by whatever name, nothing is written."""
    recording = tmp_path / "vocals.wav"
    recording.write_bytes(wav(noise()))
    (tmp_path / "link").symlink_to(tmp_path)
    for output in (tmp_path, tmp_path / "link"):
        with pytest.raises(InvalidOptions, match="the recording itself"):
            isomix.separate(recording, SPEC, output=output)
    assert recording.read_bytes() == wav(noise())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "vocals.wav"]


def test_a_folder_has_a_name():
    """An empty output, as of a variable that nobody has set, is refused."""
    with pytest.raises(InvalidOptions, match="no name"):
        isomix.separate((noise(), RATE), SPEC, output="")


def test_a_result_travels_to_another_process():
    """A separation can be pickled though a listener heard its progress."""
    separation = isomix.separate((noise(), RATE), SPEC, progress=lambda _: None)
    back = pickle.loads(pickle.dumps(separation))
    assert back.model == separation.model
    np.testing.assert_array_equal(back["vocals"].array, noise())


def test_a_bar_needs_no_console(monkeypatch):
    """A program without a standard error separates in silence, whatever progress it asks for."""
    monkeypatch.setattr("sys.stderr", None)
    assert isomix.separate((noise(), RATE), SPEC, progress=True).samples == 30_000


def test_stems_that_clip_share_one_recorded_gain(tmp_path):
    """A mixture beyond full scale is written with one gain for all stems, which the result records."""
    mixture = noise() * 4
    separation = isomix.separate((mixture, RATE), SPEC, output=tmp_path, encoding="int24")
    gain = 10 ** (separation.gain_db / 20)
    assert separation.gain_db == pytest.approx(-20 * np.log10(np.abs(mixture).max()))
    written = sum(stem.array for stem in separation.values())
    np.testing.assert_allclose(written, gain * mixture, atol=2**-22)


def test_files_take_a_url(tmp_path):
    """Stems can go to any fsspec URL, and are read back from there."""
    url = f"memory://isomix-tests/{tmp_path.name}"
    separation = isomix.separate((noise(), RATE), SPEC, output=url, encoding="float32")
    assert separation["vocals"].path == f"{url}/vocals.wav"
    np.testing.assert_array_equal(separation["vocals"].array, noise())


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_two_runs_write_the_same_bytes(tmp_path, ending):
    """The same recording, model and options give the same files, byte for byte."""
    for run in ("first", "second"):
        isomix.separate((noise(), RATE), "hpss", output=tmp_path / run, format=ending, shifts=2)
    for stem in ("drums", "bass", "other"):
        first, second = ((tmp_path / run / f"{stem}.{ending}").read_bytes() for run in ("first", "second"))
        assert first == second


def test_several_threads_get_their_own_audio_back():
    """Threads that share one `Separator` get the stems of their own recording, whatever its length and channels."""
    with isomix.Separator(SPEC) as separator, ThreadPoolExecutor(6) as pool:
        mixtures = [noise(20_000 + 5000 * seed, 1 + seed % 2, seed) for seed in range(12)]
        stems = pool.map(lambda mixture: separator.separate((mixture, RATE))["vocals"].array, mixtures)
        for mixture, stem in zip(mixtures, stems, strict=True):
            np.testing.assert_array_equal(stem, mixture)


def test_several_threads_write_their_own_files(tmp_path):
    """Threads that share one `Separator` and one parent folder do not see each other's files."""
    with isomix.Separator(SPEC) as separator, ThreadPoolExecutor(4) as pool:

        def work(seed):
            source = (noise(seed=seed), RATE)
            return separator.separate(source, output=tmp_path / "new" / str(seed), encoding="float32")

        for seed, separation in enumerate(pool.map(work, range(8))):
            np.testing.assert_array_equal(separation["vocals"].array, noise(seed=seed))


def test_streams_can_be_interleaved():
    """Two recordings that are streamed in turns through one `Separator` do not mix."""
    with isomix.Separator(SPEC) as separator:
        streams = [separator.stream((noise(seed=seed), RATE)) for seed in range(2)]
        for blocks in zip(*streams, strict=True):
            for seed, block in enumerate(blocks):
                stretch = noise(seed=seed)[:, block.start : block.start + block.samples]
                np.testing.assert_array_equal(block.stems["vocals"], stretch)


def listen_and_cancel(token, at=0.5):
    """Return a listener that cancels at a fraction, and the list of what it heard afterwards."""
    after: list[isomix.Progress] = []

    def listener(event):
        if token.cancelled:
            after.append(event)
        elif event.fraction >= at:
            token.cancel()

    return listener, after


@pytest.mark.parametrize("output", [False, True])
def test_cancel_stops_within_a_segment_and_leaves_nothing(tmp_path, output):
    """From within the callback: no further segment is separated, and no file or folder is left."""
    token = isomix.CancelToken()
    listener, after = listen_and_cancel(token)
    target = tmp_path / "new" if output else None
    with pytest.raises(SeparationCancelled):
        isomix.separate((noise(300_000), RATE), SPEC, output=target, progress=listener, cancel=token)
    assert len(after) == 0
    assert files_below(tmp_path) == []


def test_another_thread_can_cancel(tmp_path):
    """From another thread, while the work runs: it stops within a segment and leaves nothing."""
    token, begun, cancelled, after = isomix.CancelToken(), threading.Event(), threading.Event(), []

    def listener(event):
        if token.cancelled:
            after.append(event)
        begun.set()
        assert cancelled.wait(30)

    def cancel():
        assert begun.wait(30)
        token.cancel()
        cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(SeparationCancelled):
        isomix.separate((noise(300_000), RATE), SPEC, output=tmp_path / "new", progress=listener, cancel=token)
    thread.join()
    assert after == []
    assert files_below(tmp_path) == []


def test_a_cancel_at_the_last_moment_still_leaves_nothing(tmp_path):
    """Even when every segment is done, a cancel before the files get their names leaves none."""
    token = isomix.CancelToken()

    def listener(event):
        if event.phase == "write":
            token.cancel()

    with pytest.raises(SeparationCancelled):
        isomix.separate((noise(), RATE), SPEC, output=tmp_path / "new", progress=listener, cancel=token)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("normalization", ["none", "track"])
@pytest.mark.parametrize("entry", ["array", "file", "stream", "Separator", "bytes to file"])
@pytest.mark.parametrize("samples", [0, 1, 100_000])
def test_progress_rises_to_one(tmp_path, entry, normalization, samples):
    """From every entry: one kind of event, a fraction that never falls, and at the end "done", 1 and the duration."""
    events, spec, mixture = [], attrs.evolve(SPEC, normalization=normalization), noise(samples)
    if entry == "array":
        isomix.separate((mixture, RATE), spec, progress=events.append)
    elif entry == "file":
        (tmp_path / "x.wav").write_bytes(wav(mixture))
        isomix.separate(tmp_path / "x.wav", spec, output=tmp_path / "out", progress=events.append)
    elif entry == "bytes to file":
        isomix.separate(wav(mixture), spec, output=tmp_path / "out", progress=events.append)
    else:
        with isomix.Separator(spec) as separator:
            if entry == "stream":
                list(separator.stream((mixture, RATE), progress=events.append))
            else:
                separator.separate((mixture, RATE), progress=events.append)
    assert all(type(event) is isomix.Progress for event in events)
    fractions, seconds = [event.fraction for event in events], [event.done_seconds for event in events]
    assert fractions == sorted(fractions)
    assert seconds == sorted(seconds)
    assert [event.phase for event in events].count("done") == 1
    duration = samples / RATE
    last = events[-1]
    assert (last.phase, last.fraction, last.done_seconds, last.total_seconds) == ("done", 1, duration, duration)
    if samples == 100_000:
        assert len(fractions) > 20
        assert any(event.eta_seconds for event in events)


def test_a_listener_that_fails_stops_the_work(tmp_path):
    """An exception of the caller's own callback reaches the caller, and nothing is left."""
    with pytest.raises(ZeroDivisionError):
        isomix.separate((noise(), RATE), SPEC, output=tmp_path / "new", progress=lambda event: 1 / 0)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("output", [False, True])
def test_an_engine_that_fails_leaves_nothing(tmp_path, output):
    """A failure half-way is typed, names the model, keeps its cause and leaves no file."""
    with pytest.raises(SeparationFailed, match="failing failed: MemoryError") as caught:
        isomix.separate((noise(), RATE), failing_spec(), output=tmp_path / "new" if output else None)
    assert isinstance(caught.value.__cause__, MemoryError)
    assert files_below(tmp_path) == []


def test_damage_half_way_leaves_nothing(tmp_path):
    """A recording that turns out damaged after some segments gives the typed error and no file."""
    mixture = noise(200_000)
    mixture[0, 150_000] = np.nan
    with pytest.raises(CorruptAudio, match="at sample 150000"):
        isomix.separate(wav(mixture), SPEC, output=tmp_path / "new")
    assert files_below(tmp_path) == []


def test_the_first_block_comes_before_the_last_segment():
    """`stream` yields while it works: at the first block the meter is far from the end."""
    events = []
    with isomix.Separator(SPEC) as separator:
        stream = separator.stream((noise(1_000_000), RATE), progress=events.append)
        blocks = [next(stream), next(stream)]
        assert [block.start for block in blocks] == [0, HOP]
        assert events[-1].fraction < 0.05
        stream.close()


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_a_stream_that_is_closed_half_way_cleans_up(blocks, temp_folder):
    """Closing a half-read stream removes the temporary copy of its source; reading it whole does too."""
    with isomix.Separator(SPEC) as separator:
        stream = separator.stream(io.BytesIO(wav(noise())))
        for _ in range(blocks):
            next(stream)
        assert bool(list(temp_folder.iterdir())) == bool(blocks)
        stream.close()
        assert list(temp_folder.iterdir()) == []
        list(separator.stream(io.BytesIO(wav(noise()))))
        assert list(temp_folder.iterdir()) == []


def test_a_separation_cleans_up(temp_folder, tmp_path):
    """After a separation, good or bad, no temporary copy is left."""
    isomix.separate(io.BytesIO(wav(noise())), SPEC, output=tmp_path / "out")
    with pytest.raises(SeparationFailed):
        isomix.separate(io.BytesIO(wav(noise())), failing_spec())
    with pytest.raises(AudioRejected):
        isomix.separate(io.BytesIO(b"this is a text and no recording"), SPEC)
    assert list(temp_folder.iterdir()) == []


def test_a_truncated_mp3_is_separated_with_a_note(tmp_path):
    """What could be read of an MP3 that was cut short is separated, and the result says how much is missing."""
    file = io.BytesIO()
    soundfile.write(file, noise(4 * RATE).T, RATE, format="MP3", subtype="MPEG_LAYER_III")
    separation = isomix.separate(file.getvalue()[: len(file.getvalue()) // 2], SPEC)
    assert RATE < separation.samples < 3 * RATE
    assert separation["vocals"].array.shape == (2, separation.samples)
    assert separation.notes == (f"the header promises {4 * RATE} samples, {separation.samples} could be read",)


def test_an_unknown_model_is_refused():
    """The refusal names what there is."""
    with pytest.raises(UnknownModel, match="hpss"):
        isomix.separate((noise(), RATE), "no-such-model")


@pytest.mark.parametrize("stems", [["guitar"], ["vocals", "Drums"]])
def test_an_unknown_stem_is_refused_before_the_model_loads(stems):
    """The refusal names the stems of the model; its weights were not looked for."""
    spec = attrs.evolve(FOUR, factory="no.such.module:open")
    with pytest.raises(UnknownStem, match="vocals, drums, bass, other"):
        isomix.separate((noise(), RATE), spec, stems=stems)


def test_stems_are_a_list_and_not_a_string():
    """One stem is a list of one: a bare string is refused instead of taken letter by letter."""
    with pytest.raises(InvalidOptions, match="list"):
        isomix.Separator(FOUR, stems="vocals")


@pytest.mark.parametrize(
    "options",
    [
        {"format": "m4a"},
        {"format": "flac", "encoding": "float32"},
        {"format": "mp3", "encoding": "int16"},
        {"overlap": 1.0},
        {"shifts": -1},
        {"batch_size": 0},
        {"precision": "float8"},
    ],
)
def test_a_wrong_option_is_refused_before_any_work(tmp_path, options):
    """An option that cannot be is refused, and no folder is made."""
    with pytest.raises(InvalidOptions):
        isomix.separate((noise(), RATE), SPEC, output=tmp_path / "new", **options)
    assert files_below(tmp_path) == []


def test_a_format_that_cannot_hold_the_rate_is_refused_first(tmp_path):
    """MP3 of 96 kHz is refused before a segment is separated."""
    events = []
    with pytest.raises(InvalidOptions, match="mp3 cannot hold 96000 Hz"):
        isomix.separate((noise(), 96000), SPEC, output=tmp_path / "new", format="mp3", progress=events.append)
    assert events == []
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    ("source", "error"),
    [("missing.wav", ObjectNotFound), (b"", UnsupportedFormat), (b"lyrics, not music", UnsupportedFormat)],
)
def test_a_source_that_is_none_leaves_nothing(tmp_path, source, error):
    """What cannot be read makes no folder."""
    with pytest.raises(error):
        isomix.separate(source, SPEC, output=tmp_path / "new")
    assert files_below(tmp_path) == []


def test_an_output_below_a_file_is_a_storage_error(tmp_path):
    """Stems cannot be written below a file, and the error says where."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="file"):
        isomix.separate((noise(), RATE), SPEC, output=tmp_path / "file" / "out")
    assert files_below(tmp_path) == ["file"]


def test_a_model_that_cannot_load_names_the_alternatives():
    """Nothing falls back in silence: the error says how to get the model and which one needs nothing."""
    spec = attrs.evolve(FOUR, factory="no.such.module:open", extra="demucs")
    with pytest.raises(EngineUnavailable) as caught:
        isomix.Separator(spec)
    assert 'pip install "isomix[demucs]"' in caught.value.hint
    assert 'model="hpss"' in caught.value.hint


def test_without_weights_and_network_the_default_model_says_so(tmp_path):
    """The default model, offline and with an empty store, is a typed error that names the alternatives."""
    with pytest.raises((EngineUnavailable, WeightsUnavailable)) as caught:
        isomix.separate((noise(), RATE), offline=True, weights_dir=tmp_path)
    assert caught.value.model == isomix.DEFAULT_MODEL
    assert 'model="hpss"' in caught.value.hint


def test_what_was_chosen_and_measured_is_recorded():
    """A result tells its model, options, device, runtime and how long everything took."""
    with isomix.Separator(SPEC, overlap=0.5, shifts=1, seed=7) as separator:
        separation = separator.separate((noise(), RATE))
    assert separation.model == "pass-through"
    assert (separation.options.overlap, separation.options.shifts, separation.options.seed) == (0.5, 1, 7)
    assert (separation.device, separation.precision, separation.runtime) == ("cpu", "float32", "numpy")
    assert set(separation.timings) == {"load", "separate", "write"}
    assert all(seconds >= 0 for seconds in separation.timings.values())
    assert separation.real_time_factor > 0
    assert separation.duration == 30_000 / RATE


def test_the_environment_can_forbid_downloads(monkeypatch):
    """ISOMIX_OFFLINE counts like the option."""
    assert not isomix.Separator(SPEC).options.offline
    monkeypatch.setenv("ISOMIX_OFFLINE", "1")
    assert isomix.Separator(SPEC).options.offline


def test_a_pipe_feeds_several_sinks_in_one_pass():
    """Callers with sinks of their own get every block once, and afterwards what was measured."""
    with isomix.Separator(FOUR, stems=["drums", "residual", "vocals"]) as separator:
        assert separator.stems == ("drums", "residual", "vocals")
        assert (separator.device, separator.precision, separator.runtime) == ("cpu", "float32", "numpy")
        with separator.open_pipe((noise(), RATE)) as pipe:
            first, second = [], []
            for block in pipe.blocks():
                assert tuple(block.stems) == separator.stems
                first.append(block.stems["vocals"])
                second.append(block.mixture)
        np.testing.assert_array_equal(np.concatenate(first, axis=1), np.concatenate(second, axis=1))
        assert (pipe.position, pipe.channels, pipe.source.sample_rate) == (30_000, 2, RATE)
        assert (pipe.null_error_db, pipe.notes) == (-np.inf, ())


def test_a_pipe_cleans_up(temp_folder):
    """When the ``with`` statement is left, read or not, no temporary copy is left."""
    with isomix.Separator(SPEC) as separator:
        with separator.open_pipe(io.BytesIO(wav(noise()))) as pipe:
            next(pipe.blocks())
            assert list(temp_folder.iterdir())
        assert list(temp_folder.iterdir()) == []


@pytest.mark.parametrize("normalization", ["none", "track"])
def test_a_pipe_refuses_what_turns_out_too_long(normalization):
    """A bound in seconds holds whatever the header says, also where the recording is read ahead; names are kept."""
    spec = attrs.evolve(SPEC, normalization=normalization)
    with isomix.Separator(spec) as separator:
        with separator.open_pipe((noise(300_000), RATE), max_seconds=3) as pipe, pytest.raises(TooLong) as caught:
            list(pipe.blocks())
        assert caught.value.limit_seconds == 3
        with pytest.raises(UnsupportedFormat, match=r"song\.mp3"), separator.open_pipe(b"text", name="song.mp3"):
            pytest.fail("a text was opened")


@pytest.mark.parametrize(("hint", "shown"), [("", "choose another"), ("plug it in", "plug it in; or choose another")])
def test_another_model_is_suggested_behind_whatever_hint_there_is(hint, shown):
    """The suggestion is a sentence of its own where the error had no hint."""
    with pytest.raises(EngineUnavailable) as caught, suggesting_another_model("htdemucs"):
        raise EngineUnavailable("no such device", hint=hint)
    assert caught.value.hint.startswith(f"{shown} model")
