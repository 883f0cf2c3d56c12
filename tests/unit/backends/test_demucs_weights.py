"""Where weights are looked for, and what is said when they are nowhere."""

from __future__ import annotations

import hashlib
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from tiny_demucs import (
    one_thread,  # noqa: F401
    open_tiny,
    save_bag,
    save_network,
)

from isomix.backends.demucs import fetching, isomix_find_engine, weights
from isomix.backends.demucs.opening import open_demucs
from isomix.domain.options import EngineOptions
from isomix.domain.progress import Progress
from isomix.engine import EngineSpec
from isomix.errors import StorageError, WeightsUnavailable
from isomix.plugins import installed


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep every cache of this machine out of the tests."""
    monkeypatch.setenv("ISOMIX_WEIGHTS_DIR", str(tmp_path / "isomix"))
    for name in ("ISOMIX_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture
def no_socket(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Refuse every connection and every look-up, and note who tried."""
    tried: list[object] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        tried.append(arguments)
        raise OSError("the network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def spec_of(name: str) -> EngineSpec:
    """Return a released model's spec."""
    return installed().get_spec(name)


def assert_names_everything(error: WeightsUnavailable, folder: Path) -> None:
    """Check that the error says which model, which files, how large, where, and what to do."""
    text = str(error)
    for part in (
        "htdemucs",
        "955717e8.safetensors",
        "955717e8-8726e21a.th",
        "84 MB",
        str(folder / "isomix" / "demucs"),
    ):
        assert part in text
    for part in (
        str(folder / "hub"),
        str(folder / "torch" / "checkpoints"),
        "isomix models pull htdemucs",
        "--repo DIR",
    ):
        assert part in text


def test_without_network_and_weights_one_error_names_everything(elsewhere: Path, no_socket: list[object]) -> None:
    """A refused connection ends in a single error within seconds."""
    started = time.monotonic()
    with pytest.raises(WeightsUnavailable) as caught:
        open_demucs(spec_of("htdemucs"), EngineOptions(device="cpu"))
    assert time.monotonic() - started < 15
    assert no_socket
    assert_names_everything(caught.value, elsewhere)
    assert len(caught.value.facts["failures"]) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("ask", ["option", "ISOMIX_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_ft"])
def test_offline_never_touches_the_network(
    elsewhere: Path, no_socket: list[object], monkeypatch: pytest.MonkeyPatch, ask: str, name: str
) -> None:
    """The option and each of the usual variables keep every socket closed."""
    if ask != "option":
        monkeypatch.setenv(ask, "1")
    with pytest.raises(WeightsUnavailable, match="offline"):
        open_demucs(spec_of(name), EngineOptions(device="cpu", offline=ask == "option"))
    assert not no_socket


def test_only_the_missing_files_are_named(elsewhere: Path, no_socket: list[object]) -> None:
    """With one stem wanted of a fine-tuned bag, the error speaks of its one network."""
    with pytest.raises(WeightsUnavailable) as caught:
        open_demucs(spec_of("htdemucs_ft"), EngineOptions(device="cpu", stems=("vocals",), offline=True))
    assert caught.value.facts["files"] == ("04573f0d.safetensors or 04573f0d-f3cf25b2.th",)


def serve(monkeypatch: pytest.MonkeyPatch, folder: Path, signature: str, kind: str = "htdemucs") -> Path:
    """Make a small network the one that a signature stands for, and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = save_network(folder, signature, kind, samplerate=44100)
    addresses = {signature: path.as_uri()}
    monkeypatch.setattr(weights, "_parse_remote_files", lambda _: addresses)
    return path


@pytest.mark.slow
def test_a_network_in_the_legacy_cache_needs_no_network(
    elsewhere: Path, no_socket: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Demucs has downloaded before is found, and verified."""
    path = serve(monkeypatch, elsewhere / "torch" / "checkpoints", "955717e8")
    assert open_demucs(spec_of("htdemucs"), EngineOptions(device="cpu")).stems[0] == "drums"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsUnavailable, match="damaged"):
        open_demucs(spec_of("htdemucs"), EngineOptions(device="cpu", offline=True))
    assert not no_socket


@pytest.mark.slow
def test_a_network_in_the_hub_cache_needs_no_network(elsewhere: Path, no_socket: list[object]) -> None:
    """What Demucs has downloaded from the hub before is found."""
    from test_demucs_loading import save_safetensors

    entry = elsewhere / "hub" / "models--somebody--HTDemucs"
    snapshot = entry / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text("abc")
    save_safetensors(snapshot, "net", "demucs.htdemucs.HTDemucs", [["drums", "bass", "other", "vocals"]])
    save_bag(snapshot, "htdemucs", "models: [net]")
    options = EngineOptions(device="cpu")
    spec = isomix_find_engine("hf://somebody/htdemucs", options)
    assert spec is not None
    assert open_demucs(spec, options).stems == ("drums", "bass", "other", "vocals")
    assert not no_socket


def test_a_hub_name_that_is_nowhere_is_named(elsewhere: Path, no_socket: list[object]) -> None:
    """For ``hf://`` names the error says which repository was asked."""
    with pytest.raises(WeightsUnavailable, match="hf://somebody/HTDemucs-x"):
        isomix_find_engine("hf://somebody/htdemucs_x", EngineOptions())


@pytest.mark.slow
def test_a_download_is_verified_kept_and_reported(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file comes once, under its final name only when it is whole, and progress is told."""
    monkeypatch.setattr(weights.Library, "_hub_sources", lambda self, name: iter(()))
    source = serve(monkeypatch, elsewhere / "server", "955717e8")
    heard: list[Progress] = []
    options = EngineOptions(device="cpu", on_progress=heard.append, weights_dir=elsewhere / "mine")
    open_demucs(spec_of("htdemucs"), options)
    assert [path.name for path in (elsewhere / "mine" / "demucs").iterdir()] == [source.name]
    assert heard[-1] == Progress(phase="download", fraction=1.0)
    source.unlink()
    open_demucs(spec_of("htdemucs"), options)


def test_a_download_that_is_not_what_it_should_be_leaves_nothing(elsewhere: Path) -> None:
    """A file with another checksum is deleted, and the error says so."""
    source = elsewhere / "file"
    source.write_bytes(b"something else")
    target = elsewhere / "target" / "file.th"
    with pytest.raises(StorageError, match="damaged"):
        fetching.fetch_file(source.as_uri(), target, "abcd", lambda _: None)
    assert not list(target.parent.iterdir())


def test_a_file_of_the_hub_is_fetched_and_verified(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's tag of a large file is its sha256; what arrives has to match."""
    content = b"weights"

    class Facts:
        etag = hashlib.sha256(content).hexdigest()

    def download(repository: str, name: str, *, local_dir: Path, tqdm_class: Any, **_: Any) -> str:
        bar = tqdm_class(total=len(content), unit="B", name="huggingface_hub.http_get")
        with bar:
            bar.update(len(content))
        local_dir.mkdir(exist_ok=True)
        (local_dir / name).write_bytes(content)
        return str(local_dir / name)

    heard: list[float] = []
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, timeout: Facts)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    path = fetching.fetch_from_hub("a/b", "net.safetensors", elsewhere / "here", heard.append)
    assert path.read_bytes() == content
    assert heard == [1.0]
    Facts.etag = "0" * 64
    with pytest.raises(StorageError, match="damaged"):
        fetching.fetch_from_hub("a/b", "net.safetensors", elsewhere / "here", heard.append)


def test_a_folder_of_the_users_replaces_every_other_source(elsewhere: Path, no_socket: list[object]) -> None:
    """With `repo`, nothing else is looked at, and the error lists what is missing there."""
    (elsewhere / "repo").mkdir()
    with pytest.raises(WeightsUnavailable, match="955717e8") as caught:
        open_demucs(spec_of("htdemucs"), EngineOptions(device="cpu", repo=elsewhere / "repo"))
    assert caught.value.facts["folders"] == (elsewhere / "repo",)
    assert not no_socket


def test_a_single_file_is_a_folder_of_one(elsewhere: Path) -> None:
    """`repo` may name the file itself, whatever the model is called."""
    path = save_network(elsewhere, "mine", "htdemucs")
    save_network(elsewhere, "other", "htdemucs", seed=1)
    assert open_tiny(path, "anything").spec.name == "anything"


def test_the_same_network_twice_in_a_folder_is_refused(elsewhere: Path) -> None:
    """As in Demucs, two files of one signature are an error, not a guess."""
    repo = elsewhere / "repo"
    repo.mkdir()
    path = save_network(repo, "mine", "htdemucs")
    shutil.copyfile(path, repo / "mine.th")
    with pytest.raises(WeightsUnavailable, match="twice"):
        open_tiny(repo, "mine")


def test_names_that_are_not_demucs_own_are_left_to_others(elsewhere: Path) -> None:
    """A name or a folder that says nothing to Demucs gives no spec, and no error."""
    assert isomix_find_engine("somebody:model", EngineOptions()) is None
    assert isomix_find_engine("somebody:model", EngineOptions(repo=elsewhere)) is None
    save_network(elsewhere, "mine", "htdemucs")
    assert isomix_find_engine("somebody:model", EngineOptions(repo=elsewhere)) is None
    assert isomix_find_engine("htdemucs", EngineOptions(repo=elsewhere / "nowhere")) is None


@pytest.mark.slow
def test_a_published_signature_is_a_model(
    elsewhere: Path, no_socket: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single network of a released bag can be named by its signature."""
    serve(monkeypatch, elsewhere / "torch" / "checkpoints", "f7e0c4bc")
    spec = isomix_find_engine("f7e0c4bc", EngineOptions())
    assert spec is not None
    assert open_demucs(spec, EngineOptions(device="cpu")).spec.name == "f7e0c4bc"
    assert not no_socket
