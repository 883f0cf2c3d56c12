"""`isomix models`: the same as in Python, in lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.models.small_entries import store_spleeter

import isomix
from isomix import settings
from isomix.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, in which ``weights`` is the default weights folder, with ``spleeter:2stems``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(settings.WEIGHTS_DIR, "weights")
    for name in settings.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    store_spleeter(tmp_path / "weights")
    return tmp_path


def run(*arguments: str) -> int:
    return main(["models", *arguments])


def test_info_tells_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """`models info` names licence, sources, digests, figures with their citation, and what is not known."""
    assert run("info", "htdemucs_ft", "hpss") == 0
    told = capsys.readouterr().out
    for words in ("commercial use  unknown", "sha256 ba3fe64a", "mean 9.00", "README", "336 MB", "not covered", "0 MB"):
        assert words in told


def test_info_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """`models info --json` is one array with the facts of each model."""
    assert run("info", "spleeter:4stems", "spleeter+hpss", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["quality"]["figures"]["vocals"] == 6.55
    assert first["size_bytes"] > 157_000_000
    assert second["parts"] == ["spleeter:2stems", "hpss"]
    assert second["quality"] is None


def test_the_list_for_programs_has_the_same_facts(capsys: pytest.CaptureFixture[str]) -> None:
    """`models list --json` says of every model what `models info` does."""
    assert run("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert run("info", *(model.name for model in isomix.list_models()), "--json") == 0
    assert json.loads(capsys.readouterr().out) == listed


def test_verify_without_names_is_all_that_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    """Models of which nothing is here are not mentioned; sound files are exit code 0."""
    assert run("verify") == 0
    told = capsys.readouterr().out
    assert "spleeter:2stems: spleeter-2stems/model.safetensors: ok (sha256)" in told
    assert "4stems" not in told


def test_verify_fails_for_what_is_damaged_or_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged and a missing file are told by name with exit code 1, for programs too; hpss needs none."""
    assert run("verify", "hpss") == 0
    assert run("verify", "spleeter:4stems") == 1
    (folder / "weights" / "spleeter-2stems" / "model.safetensors").write_bytes(b"x")
    assert run("verify", "spleeter:2stems") == 1
    told = capsys.readouterr().out
    assert "hpss: ok" in told
    assert "spleeter:4stems: spleeter-4stems/model.index: missing" in told
    assert "spleeter-2stems/model.safetensors: damaged (it has 1 bytes" in told
    assert run("verify", "spleeter:2stems", "--json") == 1
    statuses = {report["file"]: report["status"] for report in json.loads(capsys.readouterr().out)}
    assert statuses == {"spleeter-2stems/manifest.json": "ok", "spleeter-2stems/model.safetensors": "damaged"}


def test_two_commands_move_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`bundle` here and `import` there, and it is there; both tell the same digest."""
    assert run("bundle", "spleeter:2stems", "-o", "models.zip", "--offline") == 0
    assert run("import", "models.zip", "--weights-dir", "there") == 0
    written, digest, imported, digest_there = capsys.readouterr().out.splitlines()
    assert written == imported
    assert "spleeter:2stems; 2 files" in written
    assert digest == digest_there
    assert run("verify", "spleeter:2stems", "--weights-dir", "there") == 0


def test_a_damaged_bundle_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the member, and the exit code is 1."""
    assert run("bundle", "spleeter:2stems", "-o", "models.zip") == 0
    content = bytearray(Path("models.zip").read_bytes())
    content[content.index(b"two U-Nets")] ^= 1
    Path("models.zip").write_bytes(content)
    assert run("import", "models.zip", "--weights-dir", "there") == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "weights/spleeter-2stems/model.safetensors" in told
    assert "[integrity_error]" in told
    assert not Path("there", "spleeter-2stems").exists()


def test_a_model_and_a_path_are_still_imported(capsys: pytest.CaptureFixture[str]) -> None:
    """`import MODEL PATH` takes a user's files; three words and a missing bundle are the caller's mistakes."""
    Path("mine").mkdir()
    assert run("import", "spleeter:2stems", "mine") == 1
    assert "mine does not give the weights" in capsys.readouterr().err
    assert run("import", "a", "b", "c") == 2
    assert run("import", "missing.zip") == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_remove_tells_what_it_did(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is shared is kept with a reason; what is deleted is told with the space it took."""
    assert run("remove", "spleeter:2stems") == 0
    assert "kept spleeter-2stems: spleeter+hpss, spleeter:2stems-16kHz need it" in capsys.readouterr().out
    assert run("remove", "spleeter:2stems", "--shared") == 0
    told = capsys.readouterr().out
    assert "removed spleeter-2stems" in told
    assert "bytes freed" in told
    assert not (folder / "weights" / "spleeter-2stems").exists()


@pytest.mark.parametrize(
    "command", [["models", "pull", "spleeter:4stems"], ["separate", "-m", "spleeter:4stems", "x.wav"]]
)
def test_the_commercial_policy_is_an_option(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`--licence commercial` refuses unknown licences in one line, before anything is fetched, with exit code 2."""
    assert main([*command, "--licence", "commercial"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "[licence_refused]" in told
    assert main(["models", "pull", "hpss", "--licence", "commercial"]) == 0
