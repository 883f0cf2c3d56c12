"""A bundle is the same weights on another machine, or nothing."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.models.small_entries import store_demucs, store_spleeter

from isomix import models
from isomix.domain.weights import WeightFile
from isomix.errors import IntegrityError, InvalidOptions, ObjectNotFound, StorageError, UnknownModel, WeightsUnavailable
from isomix.models.archive import SEAL, check_seal, make_manifest, write_seal
from isomix.models.manifest import describe_file

Archive = dict[str, bytes]


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder that may not exist."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def packed(here: Path, tmp_path: Path) -> Path:
    """Return a small bundle of ``spleeter:2stems``."""
    models.bundle(["spleeter:2stems"], tmp_path / "models.zip", weights_dir=here)
    return tmp_path / "models.zip"


def refuse(path: Path, there: Path) -> IntegrityError:
    """Import a bundle that must be refused, and see that nothing of it has arrived."""
    before = contents(there)
    with pytest.raises(IntegrityError) as caught:
        models.import_bundle(path, weights_dir=there)
    assert contents(there) == before
    return caught.value


def test_a_bundle_brings_the_same_files(here: Path, packed: Path, tmp_path: Path) -> None:
    """What was bundled, copied and imported is byte for byte what was here, and verifies."""
    copy = tmp_path / "elsewhere" / "copy.zip"
    copy.parent.mkdir()
    copy.write_bytes(packed.read_bytes())
    imported = models.import_bundle(copy, weights_dir=tmp_path / "there")
    assert contents(tmp_path / "there") == contents(here)
    assert imported.models == ("spleeter:2stems",)
    assert [file.name for file in imported.files] == [
        "spleeter-2stems/manifest.json",
        "spleeter-2stems/model.safetensors",
    ]
    statuses = [report.status for report in models.verify("spleeter:2stems", weights_dir=tmp_path / "there")]
    assert statuses == ["ok", "ok"]


def test_equal_models_are_equal_bytes(here: Path, packed: Path, tmp_path: Path) -> None:
    """Neither the time, nor the order of the names, nor a name given twice changes a byte; the digest says so."""
    names = ["spleeter+hpss", "spleeter:2stems"]
    first = models.bundle(names, tmp_path / "one.zip", weights_dir=here)
    (here / "spleeter-2stems" / "model.safetensors").touch()
    second = models.bundle([*reversed(names), names[0]], tmp_path / "two.zip", weights_dir=here)
    assert first == second
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_what_models_share_is_in_it_once(here: Path, tmp_path: Path) -> None:
    """Three models of one checkpoint, and Demucs' beside them, are the checkpoint once and each network once."""
    store_demucs(here)
    names = ["spleeter:2stems", "spleeter:2stems-16kHz", "spleeter+hpss", "htdemucs", "hpss"]
    models.bundle(names, tmp_path / "models.zip", weights_dir=here)
    with zipfile.ZipFile(tmp_path / "models.zip") as zipped:
        assert zipped.namelist() == [
            "manifest.json",
            "LICENCES.txt",
            "weights/demucs/955717e8.safetensors",
            "weights/spleeter-2stems/manifest.json",
            "weights/spleeter-2stems/model.safetensors",
        ]


def test_a_bundle_says_what_is_in_it(packed: Path, here: Path) -> None:
    """Any unzip program shows models, version, sizes, digests and licences; no weights are called MIT."""
    with zipfile.ZipFile(packed) as zipped:
        assert zipped.testzip() is None
        manifest = json.loads(zipped.read("manifest.json"))
        licences = zipped.read("LICENCES.txt").decode()
    expected = describe_file(here / "spleeter-2stems" / "model.safetensors")
    assert manifest["models"] == ["spleeter:2stems"]
    assert manifest["isomix"] == models.import_bundle(packed).isomix
    assert manifest["files"][-1] == {
        "name": "weights/spleeter-2stems/model.safetensors",
        "sha256": expected.sha256,
        "size_bytes": expected.size_bytes,
    }
    assert "commercial use: unknown" in licences
    assert "weights: unknown" in licences


def test_an_imported_network_of_demucs_is_verified_from_then_on(tmp_path: Path) -> None:
    """A network's digest comes with it: a byte that flips later is seen, where the format has no checksum."""
    store_demucs(tmp_path / "here")
    models.bundle(["htdemucs"], tmp_path / "models.zip", weights_dir=tmp_path / "here")
    models.import_bundle(tmp_path / "models.zip", weights_dir=tmp_path / "there")
    (report,) = models.verify("htdemucs", weights_dir=tmp_path / "there")
    assert (report.status, report.checked_by) == ("ok", "sha256")
    flip(tmp_path / "there" / "demucs" / "955717e8.safetensors", -1)
    (report,) = models.verify("htdemucs", weights_dir=tmp_path / "there")
    assert report.status == "damaged"


def flip(path: Path, offset: int, mask: int = 0x01) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= mask
    path.write_bytes(content)


def find_member(packed: Path, offset: int) -> str | None:
    """Return the member whose content lies at an offset, or None for the zip's own records."""
    with zipfile.ZipFile(packed) as zipped:
        for info in zipped.infolist():
            start = info.header_offset + 30 + len(info.filename)
            if start <= offset < start + info.file_size:
                return info.filename
    return None


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_refused_by_name(packed: Path, tmp_path: Path, mask: int) -> None:
    """At every single offset of a bundle a flipped bit is refused, naming the member it lies in; nothing arrives."""
    whole, damaged = packed.read_bytes(), tmp_path / "damaged.zip"
    for offset in range(len(whole)):
        content = bytearray(whole)
        content[offset] ^= mask
        damaged.write_bytes(content)
        error = refuse(damaged, tmp_path / "there")
        if member := find_member(packed, offset):
            assert error.facts["member"] == member, offset
            assert member in error.message
    models.import_bundle(packed, weights_dir=tmp_path / "there")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_other_damage_is_refused(packed: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes overwritten, cut out, doubled, put in, before or behind: a bundle that is not the bundle is refused."""
    whole = packed.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(start + 200, len(whole))))
    content = whole[:start] + data.draw(st.binary(max_size=200)) + whole[end:]
    if content != whole:
        (tmp_path / "damaged.zip").write_bytes(content)
        refuse(tmp_path / "damaged.zip", tmp_path / "there")


def test_the_seal_is_in_small_letters(packed: Path, tmp_path: Path) -> None:
    """The digest in capitals is another byte, and refused as one."""
    content = packed.read_bytes()
    (tmp_path / "damaged.zip").write_bytes(content[:-64] + content[-64:].upper())
    refuse(tmp_path / "damaged.zip", tmp_path / "there")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 100, SEAL + b"0" * 64])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that was never a bundle is an integrity error as well."""
    (tmp_path / "file").write_bytes(content)
    assert "not a bundle" in refuse(tmp_path / "file", tmp_path / "there").message


def seal(path: Path, content: bytes) -> Path:
    """Write a zip under a seal that is right: what somebody does who means harm."""
    with path.open("w+b") as file:
        file.write(content)
        with zipfile.ZipFile(file, "a") as zipped:
            zipped.comment = SEAL + b"0" * 64
        write_seal(file)
        assert check_seal(file)
    return path


def forge(path: Path, members: Archive, listed: Archive | None = None, compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a bundle by hand whose manifest lists the members, or others."""
    buffer = io.BytesIO()
    named = [describe(name, content) for name, content in (members if listed is None else listed).items()]
    with zipfile.ZipFile(buffer, "w", compression) as zipped:
        zipped.writestr("manifest.json", make_manifest(("hpss",), named))
        for name, content in members.items():
            zipped.writestr(name, content)
    return seal(path, buffer.getvalue())


def describe(name: str, content: bytes) -> WeightFile:
    return WeightFile(name, hashlib.sha256(content).hexdigest(), len(content))


GOOD = {"weights/demucs/955717e8.th": b"a network"}


def test_a_forged_bundle_that_keeps_to_the_form_is_taken(tmp_path: Path) -> None:
    """The forgeries below are refused for what is wrong with them: without it, they are bundles."""
    models.import_bundle(forge(tmp_path / "forged.zip", GOOD), weights_dir=tmp_path / "there")
    assert contents(tmp_path / "there")["demucs/955717e8.th"] == b"a network"


@pytest.mark.parametrize(
    "name",
    [
        "weights/../../evil",
        "weights/demucs/../../evil",
        "/etc/evil",
        "weights//etc/evil",
        "weights/demucs/..",
        "weights/demucs/./evil",
        "weights/C:/evil",
        "weights/demucs\\..\\..\\evil",
        "weights/demucs/.hidden",
        "weights/evil",
        "evil",
        "weights/demucs/evil\n",
        "weights/demucs/evil.",
        "weights/demucs/",
    ],
)
def test_no_name_leads_out_of_the_weights_folder(tmp_path: Path, name: str) -> None:
    """Paths that climb, are absolute, hidden or of another system are refused by name, under a right seal too."""
    there = tmp_path / "deep" / "er" / "there"
    error = refuse(forge(tmp_path / "forged.zip", {name: b"evil"}), there)
    assert error.facts["member"] == name
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    ("members", "listed"),
    [
        ({**GOOD, "weights/demucs/more.th": b"x"}, GOOD),
        ({}, GOOD),
        (GOOD, {"weights/demucs/955717e8.th": b"A network"}),
        (GOOD, {"weights/demucs/955717e8.th": b"longer than it is"}),
        ({**GOOD, "weights/DEMUCS/955717e8.th": b"x"}, None),
        ({**GOOD, "weights/a/manifest.json": b"{}"}, None),
    ],
    ids=["more", "less", "other", "shorter", "twins", "no-entry"],
)
def test_a_manifest_and_its_archive_must_agree(tmp_path: Path, members: Archive, listed: Archive | None) -> None:
    """Members that are not named, missing, other, of another length or one to some file systems are refused."""
    refuse(forge(tmp_path / "forged.zip", members, listed), tmp_path / "there")


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Two members of one name are one too many."""
    with pytest.warns(UserWarning, match="Duplicate"):
        forged = forge_twice(tmp_path / "forged.zip")
    refuse(forged, tmp_path / "there")


def forge_twice(path: Path) -> Path:
    buffer = io.BytesIO(forge(path, GOOD).read_bytes())
    with zipfile.ZipFile(buffer, "a") as zipped:
        zipped.writestr("weights/demucs/955717e8.th", b"another!!")
    return seal(path, buffer.getvalue())


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """Ten million zeros in ten thousand bytes are not written anywhere: members are stored or refused."""
    bomb = forge(tmp_path / "bomb.zip", {"weights/demucs/a.th": bytes(10**7)}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10**5
    assert "compressed" in refuse(bomb, tmp_path / "there").message


def test_members_that_overlap_are_no_bomb(tmp_path: Path) -> None:
    """A member inside another's bytes, which would double what is written out, is refused."""
    inner_name, outer_name = "weights/demucs/inner.th", "weights/demucs/outer.th"
    inner = bytes(10**5)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr(inner_name, inner)
        local_bytes = zipped.start_dir
    alone = buffer.getvalue()
    outer, listing = alone[:local_bytes], bytearray(alone[local_bytes:-22])
    members = {inner_name: inner, outer_name: outer}
    whole = forge(tmp_path / "one.zip", {outer_name: outer}, members).read_bytes()
    place = whole.index(outer)
    listing[42:46] = struct.pack("<L", place)
    end = whole.rindex(b"PK\5\6")
    entries, directory_bytes = struct.unpack("<HL", whole[end + 10 : end + 16])
    tail = bytearray(whole[end:])
    tail[8:16] = struct.pack("<HHL", entries + 1, entries + 1, directory_bytes + len(listing))
    with (tmp_path / "bomb.zip").open("w+b") as file:
        file.write(whole[:end] + listing + tail)
        write_seal(file)
    with zipfile.ZipFile(tmp_path / "bomb.zip") as zipped:
        assert {info.filename for info in zipped.infolist()} == {"manifest.json", *members}
    assert "larger than itself" in refuse(tmp_path / "bomb.zip", tmp_path / "there").message


@pytest.mark.parametrize(
    "manifest",
    [
        b"{",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'"text"',
        b'{"format": 2, "isomix": "9", "models": [], "files": []}',
        b'{"format": 1, "isomix": "9", "models": "hpss", "files": []}',
        b'{"format": 1, "isomix": "9", "models": [], "files": [{"name": "LICENCES.txt"}]}',
        b'{"format": 1, "isomix": "9", "models": [], "files": [{"name": [], "sha256": "%s", "size_bytes": 0}]}'
        % (b"0" * 64),
        b'{"format": 1, "isomix": "9", "models": [], "files": [{"size": 1}]}',
        b"\xff\xfe",
    ],
)
def test_a_strange_manifest_is_refused(tmp_path: Path, manifest: bytes) -> None:
    """A manifest that is no JSON, too deep, of another form or of a later format is refused."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("manifest.json", manifest)
    refuse(seal(tmp_path / "forged.zip", buffer.getvalue()), tmp_path / "there")


def test_importing_twice_changes_nothing(packed: Path, tmp_path: Path) -> None:
    """A second import finds what it would bring, and leaves it."""
    there = tmp_path / "there"
    models.import_bundle(packed, weights_dir=there)
    before = (there / "spleeter-2stems" / "manifest.json").stat().st_ino
    models.import_bundle(packed, weights_dir=there)
    assert (there / "spleeter-2stems" / "manifest.json").stat().st_ino == before


def test_an_import_mends_what_is_damaged(packed: Path, here: Path, tmp_path: Path) -> None:
    """Where a damaged copy stands, the bundle's takes its place, whole."""
    flip(store_spleeter(tmp_path / "there") / "model.safetensors", -1)
    models.import_bundle(packed, weights_dir=tmp_path / "there")
    assert contents(tmp_path / "there") == contents(here)


def damage(path: Path) -> None:
    flip(path, -1)


@pytest.mark.parametrize("change", [damage, Path.unlink])
def test_damaged_weights_are_not_passed_on(
    here: Path, tmp_path: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that does not fit its digest, or is gone, is named, and no bundle is written."""
    change(here / "spleeter-2stems" / "model.safetensors")
    with pytest.raises((IntegrityError, WeightsUnavailable), match=r"model\.safetensors"):
        models.bundle(["spleeter:2stems"], tmp_path / "models.zip", weights_dir=here, offline=True)
    assert not list(tmp_path.glob("*models.zip*"))


def test_what_is_not_here_cannot_be_bundled_offline(tmp_path: Path) -> None:
    """Offline, a model without its weights says how to get them, and the environment can ask for that as well."""
    with pytest.raises(WeightsUnavailable, match="isomix models pull"):
        models.bundle(["spleeter:4stems"], tmp_path / "models.zip", weights_dir=tmp_path, offline=True)


@pytest.mark.parametrize(
    ("names", "kind"),
    [(["hpss"], InvalidOptions), ([], InvalidOptions), ("hpss", InvalidOptions), (["x"], UnknownModel)],
)
def test_models_without_weights_need_no_bundle(tmp_path: Path, names: list[str], kind: type[Exception]) -> None:
    """Nothing to bundle, no name, a bare string and an unknown name are each said."""
    with pytest.raises(kind):
        models.bundle(names, tmp_path / "models.zip")


def test_a_place_that_cannot_be_written_is_a_storage_error(here: Path, packed: Path, tmp_path: Path) -> None:
    """A bundle into no folder, and an import into a file, are storage errors that name the place."""
    bundle = partial(models.bundle, ["spleeter:2stems"], weights_dir=here)
    with pytest.raises(StorageError, match="nowhere"):
        bundle(tmp_path / "nowhere" / "models.zip")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        models.import_bundle(packed, weights_dir=tmp_path / "file")
    with pytest.raises(ObjectNotFound, match="missing"):
        models.import_bundle(tmp_path / "missing.zip")
