"""A small network in OpenVINO: what torch computes, converted once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from isomix.errors import EngineUnavailable
from isomix.runtime.openvino import OpenVinoNetwork, Recipe, has_bfloat16, import_openvino, open_network

pytestmark = pytest.mark.usefixtures("openvino")

SHAPE = (1, 2, 32, 32)


class Toy(torch.nn.Module):
    """Two convolutions, the first of which matters more than its values show."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first, self.second = torch.nn.Conv2d(2, 16, 3, padding=1), torch.nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.second(torch.relu(self.first(x))))


class Builder:
    """Builds the toy, and counts how often."""

    calls = 0

    def __call__(self) -> torch.nn.Module:
        self.calls += 1
        return Toy().eval().requires_grad_(False)


@pytest.fixture
def build() -> Builder:
    return Builder()


@pytest.fixture
def recipe(build: Builder) -> Recipe:
    return Recipe(name="toy", weights=["a"], shapes=[SHAPE], build=build)


@pytest.fixture(scope="module")
def x() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def error_db(found: NDArray[np.float32], x: NDArray[np.float32]) -> float:
    """Return the power of the error against torch, over torch's own."""
    expected = Builder()()(torch.from_numpy(x)).numpy().astype(np.float64)
    return float(10 * np.log10(np.sum((found - expected) ** 2) / np.sum(expected**2)))


def test_float32_is_float32(recipe: Recipe, x: NDArray[np.float32], tmp_path: Path) -> None:
    """The output is torch's to 110 dB at least, whatever narrower arithmetic the CPU may have."""
    network = open_network(recipe, "float32", tmp_path)
    assert error_db(network(x), x) < -110
    assert (network.runtime, network.device, network.precision) == ("openvino", "cpu", "float32")


def test_a_converted_network_is_not_converted_again(
    recipe: Recipe, build: Builder, x: NDArray[np.float32], tmp_path: Path
) -> None:
    """The second time the module is not built, and what comes out is the same."""
    first = open_network(recipe, "float32", tmp_path)(x)
    second = open_network(recipe, "float32", tmp_path)(x)
    assert build.calls == 1
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("change", [{"weights": ["b"]}, {"shapes": [(1, 2, 16, 16)]}, {"exact": ["first"]}])
def test_another_network_has_another_file(
    recipe: Recipe, build: Builder, tmp_path: Path, change: dict[str, Any]
) -> None:
    """Other weights, shapes or exact parts do not find what was made for these."""
    open_network(recipe, "float32", tmp_path)
    open_network(attrs.evolve(recipe, **change), "float32", tmp_path)
    assert build.calls == 2
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:-1] + b"x", lambda _: b""])
def test_a_damaged_file_is_made_anew(
    recipe: Recipe, build: Builder, x: NDArray[np.float32], tmp_path: Path, damage: Any
) -> None:
    """What an interruption or a bad disk has left is not loaded, and is replaced."""
    open_network(recipe, "float32", tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    for _ in range(2):
        assert error_db(open_network(recipe, "float32", tmp_path)(x), x) < -110
    assert build.calls == 2


def test_a_read_only_folder_costs_only_time(recipe: Recipe, x: NDArray[np.float32], tmp_path: Path) -> None:
    """Where nothing can be kept, the network is converted each time."""
    (tmp_path / "file").touch()
    assert error_db(open_network(recipe, "float32", tmp_path / "file" / "openvino")(x), x) < -110


def test_a_batch_runs_item_by_item(recipe: Recipe, x: NDArray[np.float32], tmp_path: Path) -> None:
    """The network's shapes are fixed; a batch is as many calls, and the caller's array may be read-only."""
    batch = np.concatenate([x, -x, 2 * x])
    batch.flags.writeable = False
    network = open_network(recipe, "float32", tmp_path)
    np.testing.assert_array_equal(network(batch), np.concatenate([network(x), network(-x), network(2 * x)]))


def test_calls_from_several_threads_do_not_mix(recipe: Recipe, x: NDArray[np.float32], tmp_path: Path) -> None:
    """Each thread gets the output of its own input, and keeps it."""
    network = open_network(recipe, "float32", tmp_path)
    inputs = [x * factor for factor in range(16)]
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(network, inputs))
    for one, output in zip(inputs, outputs, strict=True):
        np.testing.assert_array_equal(network(one), output)


def test_threads_are_as_many_as_asked(
    recipe: Recipe, x: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number is the compiled network's own, and so is what was converted for another number."""
    for threads in (1, 2):
        compiled = open_network(recipe, "float32", tmp_path, threads=threads)._compiled
        assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
        assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_bfloat16_is_close_and_closer_where_a_part_is_exact(
    recipe: Recipe, x: NDArray[np.float32], tmp_path: Path
) -> None:
    """Rounding to eight bits shows, less if the first convolution is spared, and not at all if both are."""
    if not has_bfloat16():
        pytest.skip("this CPU has no bfloat16")
    errors = [
        error_db(open_network(attrs.evolve(recipe, exact=exact), "bfloat16", tmp_path)(x), x)
        for exact in ([], ["first"], ["first", "second"])
    ]
    assert -70 < errors[0] < -45
    assert errors[0] - 1 > errors[1] > -90
    assert errors[2] < -110


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineUnavailable, match=r"isomix\[openvino\]"):
        import_openvino()


def test_a_network_that_cannot_be_converted_says_what_can(tmp_path: Path) -> None:
    """Torch's and OpenVINO's failures come out as one error, with the cause kept."""
    recipe = Recipe(name="broken", weights=[], shapes=[(1, 3, 8, 8)], build=Builder())
    with pytest.raises(EngineUnavailable, match="runtime='torch'") as caught:
        open_network(recipe, "float32", tmp_path)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_nobody_is_told(tmp_path: Path) -> None:
    """OpenVINO's own reporting is not loaded, and the modules of the process are as before."""
    code = (
        "import sys; from isomix.runtime.openvino import import_openvino; import_openvino().convert_model;"
        "print([name for name in sys.modules if 'openvino_telemetry' in name])"
    )
    environment = {"HOME": str(tmp_path), "PATH": ""}
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert (printed.stdout.strip(), printed.stderr) == ("[]", "")
    assert list(tmp_path.iterdir()) == []


def test_the_attributes_are_those_of_any_network(recipe: Recipe, tmp_path: Path) -> None:
    """An engine may batch as it likes; one is what suits."""
    assert isinstance(network := open_network(recipe, "float32", tmp_path), OpenVinoNetwork)
    assert network.batch_size == 1
