"""What is known of models, what of them is here, and how it goes away."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from tests.unit.models.small_entries import make_safetensors, store_demucs, store_spleeter

import isomix
from isomix import models
from isomix.backends.demucs.catalog import RELEASES
from isomix.domain.options import EngineOptions
from isomix.errors import IsomixError, LicenceRefused, UnknownModel
from isomix.models.manifest import get_digest_path
from isomix.testing.engines import pass_through_spec

NAMES = [spec.name for spec in isomix.list_models()]


@pytest.mark.parametrize("name", NAMES)
def test_the_catalog_says_everything_or_that_nobody_has(name: str) -> None:
    """Every model states engine, stems, rate, size, licence, commercial use, sources, and only cited quality."""
    info = models.get_info(name)
    assert info.engine in {"cascade", "demucs", "hpss", "spleeter"}
    assert info.stems
    assert info.sample_rate == 44100
    assert info.size_bytes is not None
    assert info.licence
    assert (info.commercial_use == "yes") == (name == "hpss")
    assert bool(info.sources) == bool(info.files) == bool(info.size_bytes) == (name != "hpss")
    assert info.quality is None or (info.quality.citation and info.quality.figures and info.quality.data)


def test_no_weights_of_demucs_or_spleeter_are_called_free() -> None:
    """Demucs' weights are not MIT, whatever its code is; of Spleeter's nobody has said."""
    for name in set(NAMES) - {"hpss"}:
        licence = models.get_info(name).licence
        assert "unknown" in licence
        assert models.get_info(name).commercial_use == "unknown"


def test_the_files_of_releases_are_those_that_demucs_names() -> None:
    """The catalog's networks and first digits are Demucs' own, in the order of its definitions."""
    import demucs
    import yaml

    remote = Path(demucs.__file__).parent / "remote"
    published = {line.strip() for line in (remote / "files.txt").read_text().splitlines()}
    for release in RELEASES:
        defined = yaml.safe_load((remote / f"{release.name}.yaml").read_text())["models"]
        assert [file.partition("-")[0] for file in release.files] == defined
        assert {f"{file}.th" for file in release.files} <= published


def test_the_repositories_of_releases_are_those_that_demucs_asks() -> None:
    """The catalog names the hub's repositories as Demucs does."""
    from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name

    for release in RELEASES:
        assert models.get_info(release.name).sources[0] == f"hf://{DEFAULT_NAMESPACE}/{hf_repo_name(release.name)}"


def test_a_cascade_is_as_large_as_its_parts() -> None:
    """What a cascade downloads, and from where, is what its parts do."""
    whole, part = models.get_info("spleeter+hpss"), models.get_info("spleeter:2stems")
    assert whole.parts == ("spleeter:2stems", "hpss")
    assert (whole.size_bytes, whole.sources, whole.files) == (part.size_bytes, part.sources, part.files)


def test_the_table_of_the_docs_is_the_catalog() -> None:
    """docs/models.md has a row for every model, with the size, permission, cost and figures of the catalog."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "models.md").read_text(encoding="utf-8")
    for info in map(models.get_info, NAMES):
        row = next(line for line in page.splitlines() if line.startswith(f"| `{info.name}` |"))
        _, _, stems, size, use, cost, quality, _ = (cell.strip() for cell in row.split("|"))
        assert stems == ", ".join(info.stems)
        assert (size, use) == (f"{(info.size_bytes or 0) / 1e6:.0f}", info.commercial_use)
        assert cost == ("" if info.cpu_cost is None else f"{info.cpu_cost:g}")
        figures = info.quality.figures if info.quality else ()
        assert all(f"{stem} {figure:.2f}" in quality for stem, figure in figures)
        assert bool(quality) == bool(figures)


def test_an_unknown_name_is_unknown_everywhere() -> None:
    """Every function says so of a name that no model bears."""
    for ask in (models.get_info, models.verify, models.remove, models.pull, models.is_here):
        with pytest.raises(UnknownModel):
            ask("no-such-model")


def status(name: str, folder: Path) -> dict[str, str]:
    return {report.name: report.status for report in models.verify(name, weights_dir=folder)}


def test_a_model_that_is_not_here_is_missing(tmp_path: Path) -> None:
    """In an empty folder every file is missing, and the folder is not made."""
    folder = tmp_path / "empty"
    assert set(status("spleeter:2stems", folder).values()) == {"missing"}
    assert status("htdemucs_ft", folder) == {
        f"demucs/{name.partition('-')[0]}.safetensors": "missing" for name in RELEASES[1].files
    }
    assert not folder.exists()
    assert not models.is_here("htdemucs", weights_dir=folder)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")


@pytest.mark.parametrize(
    ("change", "expected"),
    [(cut, "damaged"), (flip, "damaged"), (Path.unlink, "missing")],
    ids=["cut short", "flipped", "gone"],
)
def test_what_has_happened_to_a_file_is_told(here: Path, change: Callable[[Path], None], expected: str) -> None:
    """A file that is shorter, other or gone is called so; the others are ok, and nothing is changed."""
    assert set(status("spleeter:2stems", here).values()) == {"ok"}
    change(here / "spleeter-2stems" / "model.safetensors")
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    expected_statuses = {"spleeter-2stems/manifest.json": "ok", "spleeter-2stems/model.safetensors": expected}
    assert status("spleeter:2stems", here) == expected_statuses
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before


def test_an_entry_without_its_record_is_damaged(here: Path) -> None:
    """Without a manifest nobody knows what the files have to be."""
    (here / "spleeter-2stems" / "manifest.json").write_text("{")
    assert status("spleeter:2stems", here) == {"spleeter-2stems/manifest.json": "damaged"}
    assert not models.is_here("spleeter:2stems", weights_dir=here)


def put_in_hub_cache(root: Path) -> Path:
    """Lay a network where the hub's library keeps it, under its sha256."""
    content = make_safetensors(b"from the hub")
    folder = root / "hub" / "models--adefossez--HTDemucs"
    blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
    snapshot = folder / "snapshots" / ("0" * 40)
    for path in (blob.parent, snapshot, folder / "refs"):
        path.mkdir(parents=True)
    blob.write_bytes(content)
    (folder / "refs" / "main").write_text("0" * 40)
    (snapshot / "955717e8.safetensors").symlink_to(blob)
    return blob


def test_a_network_in_the_hubs_cache_counts(tmp_path: Path) -> None:
    """What the hub's library has fetched is found and verified by the name of its blob, and told when it is damaged."""
    blob = put_in_hub_cache(tmp_path)
    (report,) = models.verify("htdemucs")
    assert (report.status, report.checked_by) == ("ok", "sha256")
    flip(blob)
    (report,) = models.verify("htdemucs")
    assert report.status == "damaged"
    assert report.path is not None
    assert "hub" in report.path.parts


def test_a_file_of_another_program_is_bundled_but_never_removed(tmp_path: Path) -> None:
    """A network of the hub's cache goes into a bundle, to live in isomix's folder; removing leaves the cache alone."""
    blob = put_in_hub_cache(tmp_path)
    models.bundle(["htdemucs"], tmp_path / "models.zip")
    there = tmp_path / "there"
    models.import_bundle(tmp_path / "models.zip", weights_dir=there)
    assert (there / "demucs" / "955717e8.safetensors").read_bytes() == blob.read_bytes()
    removal = models.remove("htdemucs")
    assert (removal.freed_bytes, removal.removed) == (0, ())
    assert [path.resolve() for path in removal.elsewhere] == [blob]
    assert blob.exists()


def test_a_network_of_demucs_own_is_checked_by_its_name(tmp_path: Path) -> None:
    """A file that Demucs has fetched has the first digits of its digest in its name."""
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    content = b"a pickle"
    path = folder / f"955717e8-{hashlib.sha256(content).hexdigest()[:8]}.th"
    path.write_bytes(content)
    (report,) = models.verify("htdemucs")
    assert (report.status, report.checked_by) == ("ok", "first 8 digits of sha256")
    flip(path)
    assert [report.status for report in models.verify("htdemucs")] == ["damaged"]


def test_without_a_digest_the_format_is_asked(tmp_path: Path) -> None:
    """A safetensors file whose digest nobody wrote down is at least as long as its header says."""
    path = store_demucs(tmp_path)
    get_digest_path(path).unlink()
    (report,) = models.verify("htdemucs", weights_dir=tmp_path)
    assert (report.status, report.checked_by) == ("ok", "length")
    cut(path)
    assert status("htdemucs", tmp_path) == {"demucs/955717e8.safetensors": "damaged"}
    path.write_bytes(b"not safetensors")
    assert status("htdemucs", tmp_path) == {"demucs/955717e8.safetensors": "damaged"}


def test_removing_frees_what_it_says(tmp_path: Path) -> None:
    """A model of its own weights goes away with its digests and what was compiled of it, and nothing else does."""
    network, other = store_demucs(tmp_path), store_demucs(tmp_path, "5c90dfd2")
    compiled = tmp_path / "openvino"
    compiled.mkdir()
    for name in ("demucs-955717e8-float32-1.compiled", "demucs-5c90dfd2-float32-1.compiled"):
        (compiled / name).write_bytes(bytes(1000))
    gone = [network, get_digest_path(network), compiled / "demucs-955717e8-float32-1.compiled"]
    expected = sum(path.stat().st_size for path in gone)
    removal = models.remove("htdemucs", weights_dir=tmp_path)
    assert (removal.freed_bytes, removal.removed) == (expected, ("demucs/955717e8.safetensors",))
    assert not any(path.exists() for path in gone)
    assert other.exists()
    assert get_digest_path(other).exists()
    assert (compiled / "demucs-5c90dfd2-float32-1.compiled").exists()
    assert models.remove("htdemucs", weights_dir=tmp_path).freed_bytes == 0


def test_what_others_share_stays(here: Path) -> None:
    """A checkpoint that other models need is kept with their names, until they are named too or it is insisted."""
    removal = models.remove("spleeter:2stems", weights_dir=here)
    assert (removal.freed_bytes, removal.removed) == (0, ())
    assert removal.kept == {"spleeter-2stems": ("spleeter+hpss", "spleeter:2stems-16kHz")}
    assert models.is_here("spleeter:2stems", weights_dir=here)
    removal = models.remove("spleeter:2stems", "spleeter+hpss", "spleeter:2stems-16kHz", weights_dir=here)
    assert removal.removed == ("spleeter-2stems",)
    assert removal.freed_bytes > 0
    assert list(here.iterdir()) == []


def test_shared_files_go_when_it_is_insisted(here: Path) -> None:
    """`shared=True` deletes whatever the model needs, and only that."""
    store_spleeter(here, "4stems")
    assert models.remove("spleeter+hpss", weights_dir=here, shared=True).removed == ("spleeter-2stems",)
    assert [path.name for path in here.iterdir()] == ["spleeter-4stems"]


def test_what_is_damaged_can_be_removed(here: Path) -> None:
    """An entry whose record cannot be read goes away as well."""
    (here / "spleeter-2stems" / "manifest.json").write_text("{")
    assert models.remove("spleeter:2stems", weights_dir=here, shared=True).removed == ("spleeter-2stems",)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", [*sorted({*NAMES} - {"hpss"}), "hf://somebody/some-model"])
def test_commercial_use_refuses_what_nobody_has_allowed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `licence="commercial"` such a model is refused with its licence, before anything touches the network."""
    touched: list[object] = []
    monkeypatch.setattr("socket.socket.connect", lambda *arguments: touched.append(arguments))
    monkeypatch.setattr("socket.getaddrinfo", lambda *arguments, **_: touched.append(arguments))
    monkeypatch.setattr("subprocess.run", lambda *arguments, **_: touched.append(arguments))
    with pytest.raises(LicenceRefused) as caught:
        isomix.Separator(name, licence="commercial")
    assert (caught.value.code, caught.value.status_hint) == ("licence_refused", 403)
    assert caught.value.facts["commercial_use"] == "unknown"
    assert caught.value.facts["licence"]
    assert touched == []


def test_commercial_use_takes_what_allows_it() -> None:
    """Hpss is MIT and has no weights, so it separates under the policy; by default nothing is asked."""
    with isomix.Separator("hpss", licence="commercial") as separator:
        assert separator.options.licence == "commercial"
    assert EngineOptions().licence == "any"
    models.pull("hpss", licence="commercial")


def test_a_policy_that_does_not_exist_is_refused() -> None:
    """There are two policies."""
    with pytest.raises(IsomixError, match="licence must be one of 'any', 'commercial'"):
        EngineOptions(licence="free")  # type: ignore[arg-type]


def test_the_check_is_the_specs_own() -> None:
    """A spec says whether the options may use it: "no" and "unknown" may not, "yes" may."""
    commercial = EngineOptions(licence="commercial")
    pass_through_spec().check_licence(commercial)
    for use in ("no", "unknown"):
        spec = attrs.evolve(pass_through_spec(), commercial_use=use)
        spec.check_licence(EngineOptions())
        with pytest.raises(LicenceRefused, match=use):
            spec.check_licence(commercial)


def test_managing_models_loads_nothing_heavy() -> None:
    """Importing `isomix.models`, listing, describing and removing what has no weights leaves networks out."""
    program = """
import sys
from isomix import models
models.get_info("htdemucs"), models.verify("spleeter:2stems"), models.list_models()
heavy = {"torch", "demucs", "openvino", "safetensors", "soundfile", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)
