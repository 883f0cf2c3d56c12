"""Files of weights that are what they should be, and files that are not."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file
from tiny_demucs import (
    SAMPLE_RATE,
    SMALL,
    STEMS,
    make_mixture,
    one_thread,  # noqa: F401
    open_tiny,
    run_isomix,
    save_bag,
    save_network,
    save_package,
)

from isomix.backends.demucs.bag import parse_bag
from isomix.backends.demucs.loading import read_package
from isomix.errors import EngineUnavailable, IsomixError, WeightsUnavailable


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.makedirs, (str(self.mark), 0o777, True)


def hostile_packages(mark: Path) -> dict[str, object]:
    """Return packages that carry code in every place a package has."""
    good: dict[str, Any] = {"klass": HTDemucs, "args": (STEMS,), "kwargs": {}, "state": {}}
    return {
        "whole": Evil(mark),
        "klass": {**good, "klass": Evil(mark)},
        "kwargs": {**good, "kwargs": {"segment": Evil(mark)}},
        "state": {**good, "state": {"weight": Evil(mark)}},
        "training_args": {**good, "training_args": Evil(mark)},
    }


@pytest.mark.parametrize("kind", SMALL)
def test_building_a_network_draws_no_random_numbers(tmp_path: Path, kind: str) -> None:
    """The weights are the file's, and torch's random state is as it was."""
    package = read_package(save_network(tmp_path, "net", kind, seed=3))
    before = torch.get_rng_state()
    network = package.build()
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = package.network(**package.arguments).state_dict()
    assert network.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())


@pytest.mark.slow
def test_building_a_network_does_not_wait_for_torchs_compiler(tmp_path: Path) -> None:
    """A second of imports that nothing here uses stays out of the way to the first stem."""
    path = save_network(tmp_path, "net", "htdemucs")
    code = (
        "import sys; from pathlib import Path; from isomix.backends.demucs.loading import read_package;"
        "read_package(Path(sys.argv[1])).build(); print('torch._dynamo' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"


@pytest.mark.parametrize("place", ["whole", "klass", "kwargs", "state", "training_args"])
def test_a_malicious_pickle_runs_nothing(tmp_path: Path, place: str) -> None:
    """A file that would run code is refused with the remedy, and the code has not run."""
    mark = tmp_path / "mark"
    save_package(tmp_path, "evil", hostile_packages(mark)[place])
    with pytest.raises(WeightsUnavailable, match="makedirs") as caught:
        open_tiny(tmp_path, "evil")
    assert not mark.exists()
    assert "trust_pickle" in caught.value.hint


def test_trust_pickle_loads_what_is_otherwise_refused(tmp_path: Path) -> None:
    """With explicit trust, a package that carries an object of another class loads."""
    mark = tmp_path / "mark"
    path = save_network(tmp_path, "odd", "htdemucs")
    package = torch.load(path, weights_only=False)
    path.unlink()
    save_package(tmp_path, "odd", {**package, "training_args": Evil(mark)})
    with pytest.raises(WeightsUnavailable):
        open_tiny(tmp_path, "odd")
    assert run_isomix(open_tiny(tmp_path, "odd", trust_pickle=True), make_mixture(0.3)).shape[0] == 4
    assert mark.exists()


def test_a_class_that_is_not_demucs_own_is_not_built(tmp_path: Path) -> None:
    """A class that weights-only loading knows is still no network."""
    save_package(tmp_path, "odd", {"klass": Fraction, "args": (1, 2), "kwargs": {}, "state": {}})
    with pytest.raises(WeightsUnavailable, match="not one of Demucs' networks"):
        open_tiny(tmp_path, "odd")


def save_safetensors(folder: Path, signature: str, klass: str, args: object, **more: object) -> Path:
    """Write a network as Demucs' hub repositories hold it."""
    kwargs = {**SMALL["htdemucs"], "samplerate": SAMPLE_RATE}
    network = HTDemucs(STEMS, **kwargs)
    kwargs["segment"] = {"_type": "fraction", "numerator": 39, "denominator": 5}
    facts = {"klass": klass, "args": args, "kwargs": kwargs, **more}
    texts = {key: value if key == "klass" else json.dumps(value) for key, value in facts.items()}
    path = folder / f"{signature}.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path, texts)
    return path


def test_a_safetensors_network_loads(tmp_path: Path) -> None:
    """The form of the hub is read, fractions and all."""
    save_safetensors(tmp_path, "hub", "demucs.htdemucs.HTDemucs", [STEMS])
    package = read_package(tmp_path / "hub.safetensors")
    assert package.segment_seconds(None) == Fraction(39, 5)
    assert open_tiny(tmp_path, "hub").spec.sample_rate == SAMPLE_RATE


def test_a_safetensors_file_cannot_name_a_class_to_call(tmp_path: Path) -> None:
    """Its metadata may name anything importable; isomix builds Demucs' networks only."""
    mark = tmp_path / "mark"
    save_safetensors(tmp_path, "evil", "os.mkdir", [str(mark)])
    with pytest.raises(WeightsUnavailable, match="not one of Demucs' networks"):
        open_tiny(tmp_path, "evil")
    save_safetensors(
        tmp_path, "evil", "demucs.htdemucs.HTDemucs", [STEMS], structure={"_dict": [["a", {"_class": "os.mkdir"}]]}
    )
    with pytest.raises(WeightsUnavailable, match=r"os\.mkdir"):
        open_tiny(tmp_path, "evil")
    assert not mark.exists()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """The digits in its name tell a file that has lost its tail."""
    path = save_network(tmp_path, "short", "htdemucs")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsUnavailable, match="damaged"):
        open_tiny(tmp_path, "short")


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut short"])
@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
def test_a_file_that_is_not_weights_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    """Whatever lies there under the name, the error is typed."""
    (tmp_path / f"junk{suffix}").write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="junk"):
        open_tiny(tmp_path, "junk")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """A state that does not fit says so, before anything is separated."""
    path = save_network(tmp_path, "odd", "htdemucs")
    package = torch.load(path, weights_only=False)
    path.unlink()
    save_package(tmp_path, "odd", {**package, "kwargs": {**package["kwargs"], "channels": 16}})
    with pytest.raises(WeightsUnavailable, match="do not fit"):
        open_tiny(tmp_path, "odd")


def test_arguments_of_another_version_are_dropped(tmp_path: Path) -> None:
    """As in Demucs, what this version's network does not take is left out; without a warning."""
    path = save_network(tmp_path, "old", "htdemucs")
    package = torch.load(path, weights_only=False)
    path.unlink()
    save_package(tmp_path, "old", {**package, "kwargs": {**package["kwargs"], "of_old": 1}})
    assert open_tiny(tmp_path, "old").stems == tuple(STEMS)


@pytest.mark.skipif(importlib.util.find_spec("diffq") is not None, reason="diffq is installed")
def test_a_quantised_network_names_the_package_it_needs(tmp_path: Path) -> None:
    """Without diffq the error says what to install, and nothing exits."""
    path = save_network(tmp_path, "quantised", "htdemucs")
    package = torch.load(path, weights_only=False)
    path.unlink()
    save_package(tmp_path, "quantised", {**package, "state": {"__quantized": True}})
    with pytest.raises(EngineUnavailable, match="diffq"):
        open_tiny(tmp_path, "quantised")


def test_networks_of_one_bag_must_agree(tmp_path: Path) -> None:
    """A bag of networks at two rates is refused."""
    save_network(tmp_path, "a", "htdemucs")
    save_network(tmp_path, "b", "htdemucs", samplerate=SAMPLE_RATE // 2)
    save_bag(tmp_path, "odd", "models: [a, b]")
    with pytest.raises(WeightsUnavailable):
        open_tiny(tmp_path, "odd")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "models: []",
        "models: 3",
        "models: [a]\nweights: [[1], [2]]",
        "models: ['../a']",
        "a: b: c",
        "models: [a]\nsegment: x",
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(text: str) -> None:
    """A bag's file is read, not trusted."""
    with pytest.raises(WeightsUnavailable):
        parse_bag("odd", text)


@pytest.mark.parametrize("weights", [((1.0,),), ((1.0, 0.0),)])
def test_weights_have_to_cover_the_stems(weights: tuple[tuple[float, ...], ...]) -> None:
    """A row per network, a column per stem, and no stem without a network."""
    bag = parse_bag("odd", json.dumps({"models": ["a"], "weights": weights}))
    with pytest.raises(IsomixError):
        bag.needed(("drums", "vocals"), ("vocals",))
