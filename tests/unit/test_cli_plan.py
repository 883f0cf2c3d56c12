"""`isomix separate --plan`: prints, and does nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from isomix.cli import main

RATE = 44100


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Return the current folder, with one recording of two seconds; weights live in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ISOMIX_WEIGHTS_DIR", str(tmp_path / "weights"))
    soundfile.write("song.wav", np.zeros((2 * RATE, 2)), RATE)
    return tmp_path


def plan(*arguments: str) -> int:
    return main(["separate", "--plan", *arguments])


def test_a_plan_is_printed_and_nothing_is_done(folder, capsys):
    """It names networks, time, memory, licence and output, and leaves no file."""
    assert plan("song.wav", "-m", "hpss", "--stems", "drums", "-o", "out") == 0
    told = capsys.readouterr()
    lines = dict(line.split(None, 1) for line in told.out.splitlines())
    assert lines["model"] == "hpss: drums"
    assert lines["networks"] == "hpss for drums: 1 segments of 5.9 s"
    assert lines["licence"] == "MIT; commercial use: yes"
    assert lines["output"] == "1 stems in out/song, wav int16, 0.4 MB (1.1 MB while they are made)"
    assert lines["time"].endswith("(rough)")
    assert told.err == ""
    assert [path.name for path in folder.iterdir()] == ["song.wav"]


def test_json_is_one_plan_per_recording(capsys):
    """With --json every line is one plan; a recording that is refused is told, and the others are planned."""
    soundfile.write("other.wav", np.zeros((RATE, 1)), 22050)
    arguments = ["song.wav", "missing.wav", "other.wav", "-m", "testing:tiny", "--format", "flac", "--json"]
    assert plan(*arguments) == 2
    told = capsys.readouterr()
    plans = [json.loads(line) for line in told.out.splitlines()]
    assert plans.pop(1)["error"]["code"] == "object_not_found"
    assert [(each["input"], each["duration_seconds"], each["output"]) for each in plans] == [
        ("song.wav", 2.0, "separated/song"),
        ("other.wav", 2.0, "separated/other"),
    ]
    assert plans[0]["networks"][0]["segments"] == 2
    assert (plans[1]["sample_rate"], plans[1]["channels"], plans[1]["format"]) == (22050, 1, "flac")
    assert "missing.wav does not exist" in told.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["song.wav", "-m", "no-such-model"], 2),
        (["song.wav", "-m", "hpss", "--stems", "guitar"], 2),
        (["song.wav", "-m", "hpss", "--format", "m4a"], 2),
        (["song.wav", "-m", "spleeter:2stems", "--offline"], 1),
        (["song.wav", "-m", "spleeter:2stems", "--licence", "commercial"], 2),
    ],
)
def test_what_cannot_work_is_refused_as_without_plan(capsys, arguments, code):
    """The same line and the same exit code as without --plan."""
    assert plan(*arguments) == code
    planned = capsys.readouterr()
    assert main(["separate", *arguments]) == code
    assert capsys.readouterr() == planned
    assert planned.out == ""
    assert planned.err.count("\n") == 1


def test_calibrate_is_for_plans(capsys):
    """--calibrate without --plan is refused rather than ignored."""
    assert main(["separate", "song.wav", "-m", "hpss", "--calibrate"]) == 2
    assert "--calibrate measures for --plan" in capsys.readouterr().err


@pytest.mark.slow
def test_a_calibration_is_kept_in_the_weights_folder(folder, capsys):
    """--calibrate measures once; later plans know, and nothing else is written."""
    assert plan("song.wav", "-m", "testing:tiny", "--calibrate") == 0
    assert plan("song.wav", "-m", "testing:tiny") == 0
    assert capsys.readouterr().out.count("(calibrated)") == 4
    kept = [path for path in folder.rglob("*") if path.is_file() and path.name != "song.wav"]
    assert [path.parent for path in kept] == [folder / "weights" / "calibration"]
