"""The command: a thin door that never shows a traceback."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import isomix
from isomix.cli import main, studio

RATE = 44100


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Return the current folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def record(name: str, seed: int = 0, samples: int = 10_000) -> str:
    """Write a short recording and return its name."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    audio = np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, 2))
    container = Path(name).suffix[1:].upper()
    soundfile.write(name, audio, RATE, format=container if container in ("FLAC", "MP3") else "WAV")
    return name


def run(*arguments: str) -> int:
    return main(["separate", "-m", "hpss", *arguments])


def written(folder: str = "separated") -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_stems_are_written_below_the_name_of_the_recording(capsys):
    """`isomix separate song.wav` writes separated/song/<stem>.wav and says where."""
    assert run(record("My söng.wav")) == 0
    assert written() == [f"My söng/{stem}.wav" for stem in ("bass", "drums", "other")]
    told = capsys.readouterr()
    assert "separated/My söng/drums.wav" in told.out
    assert told.err == ""


def test_folder_format_encoding_and_stems_can_be_chosen():
    """-o, --format, --encoding and --stems do what they say."""
    options = ["-o", "out", "--format", "flac", "--encoding", "int24", "--stems", "drums,residual"]
    assert run(record("song.wav"), *options) == 0
    assert written("out") == ["song/drums.flac", "song/residual.flac"]
    info = soundfile.info("out/song/drums.flac")
    assert (info.frames, info.subtype) == (10_000, "PCM_24")


def test_recordings_of_one_name_do_not_overwrite_each_other():
    """Where inputs share a name, the ending or a number keeps their folders apart."""
    names = ["song.wav", "song.flac", "a/song.wav", "tune.wav"]
    inputs = [record(name, samples=1000 + number) for number, name in enumerate(names)]
    assert run(*inputs, "--stems", "residual", "--encoding", "float32") == 0
    lengths = {folder.name: soundfile.info(folder / "residual.wav").frames for folder in Path("separated").iterdir()}
    assert lengths == {"song.wav": 1000, "song.flac": 1001, "song.wav-2": 1002, "tune": 1003}


def test_a_recording_that_is_named_twice_is_separated_once(capsys):
    """Naming an input twice costs nothing."""
    song = record("song.wav")
    assert run(song, song, "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_json_is_one_object_per_recording(capsys):
    """With --json every line is the result of one recording, and nothing else is printed."""
    assert run(record("a.wav"), record("b.wav"), "--json") == 0
    told = capsys.readouterr()
    results = [json.loads(line) for line in told.out.splitlines()]
    assert [result["input"] for result in results] == ["a.wav", "b.wav"]
    assert results[0]["stems"]["drums"] == "separated/a/drums.wav"
    assert (results[0]["samples"], results[0]["model"]) == (10_000, "hpss")
    assert told.err == ""


def test_json_tells_of_a_recording_that_failed(capsys):
    """With --json a recording that cannot be separated has a line of its own, with its error."""
    assert run("missing.wav", record("b.wav"), "--json") == 2
    failed, done = map(json.loads, capsys.readouterr().out.splitlines())
    assert (failed["input"], failed["error"]["code"]) == ("missing.wav", "object_not_found")
    assert done["input"] == "b.wav"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there, names of files are Unicode")
def test_a_name_in_no_encoding_is_a_name(capsys):
    """A recording whose name is no text in the system's encoding is separated, and the next one too."""
    name = os.fsdecode(b"\xff.wav")
    Path(record("a.wav")).rename(name)
    assert run(name, record("b.wav")) == 0
    assert len(written()) == 6


def test_quiet_says_nothing(capsys):
    """With --quiet success is silent."""
    assert run(record("song.wav"), "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_options_reach_the_engine(capsys):
    """--overlap and --shifts are recorded in the result."""
    assert run(record("song.wav"), "--overlap", "0.5", "--shifts", "1", "--json") == 0
    options = json.loads(capsys.readouterr().out)["options"]
    assert (options["overlap"], options["shifts"]) == (0.5, 1)


def test_a_stream_can_be_chosen(capsys):
    """--stream of a file that has only one is refused."""
    assert run(record("song.wav"), "--stream", "1") == 2
    assert "there is no stream 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-m", "no-such-model", "x.wav"], "no-such-model"),
        (["-m", "hpss", "missing.wav"], "missing.wav does not exist"),
        (["-m", "hpss", "folder"], "folder is not a file"),
        (["-m", "hpss", "text.mp3"], "text.mp3 is not audio"),
        (["-m", "hpss", "empty.wav"], "empty.wav is not audio"),
        (["-m", "hpss", "x.wav", "--stems", "guitar"], "guitar"),
        (["-m", "hpss", "x.wav", "--format", "m4a"], "m4a"),
        (["-m", "hpss", "x.wav", "--format", "flac", "--encoding", "float32"], "float32"),
        (["-m", "hpss", "x.wav", "--overlap", "1.5"], "overlap"),
        (["-m", "hpss", "x.wav", "--shifts", "-2"], "shifts"),
    ],
)
def test_a_callers_mistake_is_one_line_and_code_2(capsys, arguments, told):
    """A mistake the caller can mend is one line with a code for programs, exit code 2, and leaves nothing."""
    record("x.wav")
    Path("folder").mkdir()
    Path("text.mp3").write_text("Lyrics: la la la")
    Path("empty.wav").touch()
    assert main(["separate", *arguments]) == 2
    told_out, told_err = capsys.readouterr()
    assert told_out == ""
    assert told in told_err
    assert told_err.count("\n") == 1
    assert told_err.startswith("isomix: ")
    assert not Path("separated").exists()


def test_a_failure_is_one_line_and_code_1(capsys):
    """What the caller cannot mend by other words is exit code 1, in one line."""
    Path("file").write_text("mine")
    assert run(record("x.wav"), "-o", "file") == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "[storage_error]" in told


def test_a_model_without_its_weights_is_code_1_with_a_remedy(capsys):
    """Offline and with an empty store, the default model says which model needs nothing."""
    assert main(["separate", record("x.wav"), "--offline", "--weights-dir", "empty"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert 'model="hpss" needs no weights' in told


def test_one_bad_recording_does_not_stop_the_others(capsys):
    """The other recordings are separated, the bad one is told, and the exit code is the worst."""
    assert run(record("a.wav"), "missing.wav", record("b.wav")) == 2
    assert written() == [f"{song}/{stem}.wav" for song in "ab" for stem in ("bass", "drums", "other")]
    assert "missing.wav" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["separate"], ["no-such-command"], ["models"], ["separate", "x", "--precision", "y"]]
)
def test_a_line_that_cannot_be_parsed_is_code_2(capsys, arguments):
    """A command line without sense prints how it is meant and exits with 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: isomix" in capsys.readouterr().err


def test_models_are_listed(capsys):
    """`models list` names every model with its stems and licence."""
    assert main(["models", "list"]) == 0
    told = capsys.readouterr()
    assert all(model.name in told.out for model in isomix.list_models())
    assert "drums, bass, other" in told.out
    assert told.out.count("licence:") == len(isomix.list_models())
    assert told.err == ""


def test_models_are_listed_for_programs(capsys):
    """`models list --json` is one array of facts."""
    assert main(["models", "list", "--json"]) == 0
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert list(listed) == [model.name for model in isomix.list_models()]
    assert listed["hpss"]["commercial_use"] == "yes"
    assert listed["hpss"]["stems"] == ["drums", "bass", "other"]


def test_the_path_of_the_weights(capsys, monkeypatch):
    """`models path` is where weights live, as the environment says."""
    monkeypatch.setenv("ISOMIX_WEIGHTS_DIR", "somewhere")
    assert main(["models", "path"]) == 0
    assert capsys.readouterr().out == "somewhere\n"


def test_a_model_that_needs_nothing_is_ready(capsys):
    """`models pull` of a model without weights has nothing to fetch; an unknown one is refused."""
    assert main(["models", "pull", "hpss"]) == 0
    assert capsys.readouterr().out == "hpss: ready\n"
    assert main(["models", "pull", "no-such-model"]) == 2


def test_the_version():
    """`--version` is the package's version, and `python -m isomix` is the command."""
    done = subprocess.run([sys.executable, "-m", "isomix", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"isomix {isomix.__version__}\n"


def test_the_signal_handler_is_given_back():
    """Running the command inside a program leaves its handling of SIGTERM as it was."""
    before = signal.getsignal(signal.SIGTERM)
    main(["models", "path"])
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGHUP")
@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.SIG_DFL])
def test_nohup_is_heeded(monkeypatch, before):
    """A closed terminal stops the command, unless whoever started it has it ignored."""
    seen = []
    choices = argparse.Namespace(run=lambda _: seen.append(signal.getsignal(signal.SIGHUP)) or 0)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", lambda *_: choices)
    kept = signal.signal(signal.SIGHUP, before)
    try:
        assert main([]) == 0
    finally:
        signal.signal(signal.SIGHUP, kept)
    assert seen == [before if before is signal.SIG_IGN else signal.default_int_handler]


@pytest.mark.skipif(os.name == "nt", reason="signals are sent the POSIX way")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.slow
def test_a_stop_leaves_nothing_half_written(folder, number):
    """Ctrl-C, or a supervisor's polite stop, in the middle of the work: exit code 130, one line, no file, no folder."""
    record("long.wav", samples=15 * 60 * RATE)
    command = [sys.executable, "-m", "isomix", "separate", "long.wav", "-m", "hpss", "-o", "out/new"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > 2**20 for path in folder.glob("out/new/*/.isomix-*/*.wav")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        told_out, told_err = process.communicate(timeout=60)
    assert (process.returncode, told_out) == (130, "")
    assert told_err == "isomix: stopped; nothing was left half-written\n"
    assert sorted(path.name for path in folder.iterdir()) == ["long.wav"]


def test_a_reader_that_leaves_is_no_error(tmp_path):
    """`isomix models list | head -1` ends without a traceback."""
    command = f"{sys.executable} -m isomix models list | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_blanks_between_stems_do_not_matter(tmp_path, capsys):
    """`--stems "drums, bass"` names two stems."""
    soundfile.write(tmp_path / "song.wav", np.zeros((1000, 2)), 44100)
    out = tmp_path / "out"
    assert main(["separate", str(tmp_path / "song.wav"), "-m", "hpss", "--stems", "drums, bass", "-o", str(out)]) == 0
    assert {path.stem for path in (out / "song").iterdir()} == {"drums", "bass"}


def test_notes_are_warnings_on_standard_error(tmp_path, capsys):
    """What a careful reader should know is told even where the report is not."""
    soundfile.write(tmp_path / "surround.wav", np.zeros((1000, 6)), 44100)
    arguments = ["separate", str(tmp_path / "surround.wav"), "-m", "hpss", "-q", "-o", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "warning: " in capsys.readouterr().err


def test_the_doctor_leaves_no_trace(capsys, monkeypatch, tmp_path):
    """Where no studio was ever used, the doctor says so, makes no file and is content."""
    monkeypatch.setenv("ISOMIX_DATA_DIR", str(tmp_path / "data"))
    assert main(["doctor"]) == 0
    assert "not used yet" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


def test_the_doctor_does_not_call_broken_what_is_not_installed(capsys, monkeypatch, tmp_path):
    """Without the studio's packages the doctor says so once, looks no further, makes no file and is content."""
    find_spec = studio.find_spec
    monkeypatch.setattr(studio, "find_spec", lambda name: None if name == "sqlalchemy" else find_spec(name))
    monkeypatch.setenv("ISOMIX_DATA_DIR", str(tmp_path / "data"))
    assert main(["doctor"]) == 0
    assert 'studio       not installed: pip install "isomix[studio]"' in capsys.readouterr().out
    assert not (tmp_path / "data").exists()
