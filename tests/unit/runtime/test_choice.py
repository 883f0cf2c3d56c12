"""Which runtime and precision are taken, for every kind of request and machine."""

from __future__ import annotations

import sys

import pytest

from isomix.domain.options import EngineOptions
from isomix.errors import EngineUnavailable, InvalidOptions
from isomix.runtime import machine
from isomix.runtime.choice import MAX_ERROR_DB, Choice, Evidence, Machine, choose
from isomix.runtime.machine import choose_runtime, has_accelerator, look

CLOSE = Evidence(is_proven=True, bfloat16_error_db=-45.1)
COARSE = Evidence(is_proven=True, bfloat16_error_db=MAX_ERROR_DB)
UNMEASURED = Evidence(is_proven=True)
UNPROVEN = Evidence(bfloat16_error_db=-60.0)
NATIVE = Machine(has_openvino=True, has_bfloat16=True)
PLAIN = Machine(has_openvino=True)
SERVER = Machine(has_openvino=True, has_bfloat16=True, has_accelerator=True)
BARE = Machine()


@pytest.mark.parametrize(
    ("asked", "evidence", "machine", "expected"),
    [
        ({}, CLOSE, NATIVE, ("openvino", "bfloat16")),
        ({}, COARSE, NATIVE, ("openvino", "float32")),
        ({}, UNMEASURED, NATIVE, ("openvino", "float32")),
        ({}, CLOSE, PLAIN, ("openvino", "float32")),
        ({}, UNPROVEN, NATIVE, ("torch", "float32")),
        ({}, None, NATIVE, ("torch", "float32")),
        ({}, CLOSE, BARE, ("torch", "float32")),
        ({}, CLOSE, SERVER, ("torch", "float32")),
        ({"device": "cpu"}, CLOSE, SERVER, ("openvino", "bfloat16")),
        ({"device": "cuda"}, CLOSE, SERVER, ("torch", "float32")),
        ({"device": "mps", "precision": "float16"}, CLOSE, SERVER, ("torch", "float16")),
        ({"precision": "float32"}, CLOSE, NATIVE, ("openvino", "float32")),
        ({"precision": "bfloat16"}, UNMEASURED, NATIVE, ("openvino", "bfloat16")),
        ({"precision": "bfloat16"}, CLOSE, PLAIN, ("torch", "bfloat16")),
        ({"runtime": "torch"}, CLOSE, NATIVE, ("torch", "float32")),
        ({"runtime": "torch", "precision": "bfloat16"}, CLOSE, NATIVE, ("torch", "bfloat16")),
        ({"runtime": "openvino"}, CLOSE, NATIVE, ("openvino", "bfloat16")),
        ({"runtime": "openvino"}, UNPROVEN, PLAIN, ("openvino", "float32")),
        ({"runtime": "openvino"}, CLOSE, SERVER, ("openvino", "bfloat16")),
        ({"runtime": "openvino", "device": "cpu", "precision": "float32"}, CLOSE, NATIVE, ("openvino", "float32")),
    ],
)
def test_the_table_of_choices(
    asked: dict[str, str], evidence: Evidence | None, machine: Machine, expected: tuple[str, str]
) -> None:
    """OpenVINO where it is proven and the work stays on the CPU; bfloat16 where it is native and its error is small."""
    assert choose("model", EngineOptions(**asked), evidence, machine) == Choice(*expected)


@pytest.mark.parametrize(
    ("asked", "evidence", "machine", "error", "word"),
    [
        ({}, CLOSE, BARE, EngineUnavailable, "isomix\\[openvino\\]"),
        ({}, None, NATIVE, InvalidOptions, "cannot run model"),
        ({"device": "cuda:1"}, CLOSE, SERVER, InvalidOptions, "cuda:1"),
        ({"precision": "float16"}, CLOSE, NATIVE, InvalidOptions, "float16"),
        ({"precision": "bfloat16"}, CLOSE, PLAIN, InvalidOptions, "bfloat16"),
    ],
)
def test_openvino_by_name_is_given_or_refused(
    asked: dict[str, str], evidence: Evidence | None, machine: Machine, error: type[Exception], word: str
) -> None:
    """What is asked for by name is never quietly replaced."""
    with pytest.raises(error, match=word):
        choose("model", EngineOptions(runtime="openvino", **asked), evidence, machine)


def test_nothing_is_looked_at_that_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch by name, or a model that only torch runs, needs no look at the machine."""
    monkeypatch.setattr(machine, "look", None)
    assert choose_runtime("model", EngineOptions(runtime="torch"), CLOSE).runtime == "torch"
    assert choose_runtime("model", EngineOptions(), None).runtime == "torch"


def test_without_openvino_there_is_nothing_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenVINO is missing, nobody is asked what the CPU can do."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert look(EngineOptions(device="cpu")) == Machine()


@pytest.mark.skipif(sys.platform != "linux", reason="drivers are looked for on Linux alone")
def test_without_a_driver_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver, no accelerator; with one, torch has the word."""
    monkeypatch.setattr(machine, "_DRIVERS", ())
    assert not has_accelerator()
    monkeypatch.setattr(machine, "_DRIVERS", ("/",))
    monkeypatch.setattr("isomix.runtime.torch.list_devices", lambda: ["cuda:0", "cpu"])
    assert has_accelerator()
