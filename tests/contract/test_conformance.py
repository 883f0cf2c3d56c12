"""The conformance kit: engines that keep the contract pass, each broken one fails the check that is meant for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest
from tests.contract.broken_engines import MEANT_FOR
from tests.tiny_demucs import one_thread, save_network

from isomix.errors import UnknownModel, WeightsUnavailable
from isomix.testing.conformance import CHECKS, examine
from isomix.testing.engines import pass_through_spec

__all__ = ["one_thread"]

ROOT = Path(__file__).resolve().parents[2]
NAMES = [check.name for check in CHECKS]
HEAVY = """
import soundfile
from broken_engines import Sound, isomix, to_spec

@isomix.hookimpl
def isomix_engines():
    return [isomix.EngineSpec(name="broken:Heavy", stems=("voice", "band", "room"), factory="broken_engines:Sound",
        segmentation=to_spec(Sound).segmentation, sample_rate=8000, licence="MIT")]
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """A folder with the broken engines, installed as pip would install them."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "broken_engines.py").write_text((Path(__file__).parent / "broken_engines.py").read_text())
    (folder / "heavy_engines.py").write_text(HEAVY)
    info = folder / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[isomix.engines]\nbroken = broken_engines\nheavy = heavy_engines\n")
    return folder


@pytest.fixture
def run(plugins, tmp_path):
    """Return a function that runs pytest in an empty folder where the broken engines are installed."""
    return lambda *arguments, **environment: run_pytest(plugins, tmp_path, *arguments, **environment)


def run_pytest(plugins, folder, *arguments, **environment):
    environment = {**os.environ, "PYTHONPATH": str(plugins), **environment}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def found(plugins, tmp_path_factory):
    """What one run of the kit over all broken engines says: verdict and message by engine and check."""
    folder = tmp_path_factory.mktemp("run")
    engines = [f"--isomix-engine=broken:{name}" for name in [*(engine.__name__ for engine in MEANT_FOR), "Heavy"]]
    claimed = run_pytest(
        plugins, folder, "--junitxml=claimed.xml", "--isomix-engine=broken:HalfGain", "--isomix-sums-db=-100"
    )
    done = run_pytest(plugins, folder, "--junitxml=all.xml", *engines)
    assert (done.returncode, claimed.returncode) == (1, 1), done.stdout + done.stderr
    return read(folder / "all.xml") | read(folder / "claimed.xml")


def read(path):
    """Read a report of pytest's: one verdict and message for each engine and check."""
    verdicts = {}
    for case in ElementTree.parse(path).iter("testcase"):
        engine = case.get("classname").removeprefix("isomix-engine[").removesuffix("]")
        verdict = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        said = ("passed", "") if verdict is None else (verdict.tag, f"{verdict.get('message')}\n{verdict.text}")
        verdicts.setdefault(engine, {})[case.get("name")] = said
    return verdicts


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("engine", "check"), [*((e.__name__, c) for e, c in MEANT_FOR.items()), ("Heavy", "listing")])
def test_a_broken_engine_fails_the_check_that_is_meant_for_it(found, engine, check):
    """Each broken engine fails one check and no other, which says what was found and where the rule is written."""
    verdicts = found[f"broken:{engine}"]
    assert set(verdicts) == set(NAMES)
    wrong = {name: message for name, (verdict, message) in verdicts.items() if verdict in ("failure", "error")}
    assert set(wrong) == ({check} if check else set()), wrong
    if check:
        assert f"broken:{engine} breaks the engine contract: {check}" in wrong[check]
        assert f"docs/write-an-engine.md#{check}" in wrong[check]


def test_every_check_has_an_engine_that_fails_it():
    """Each check has been seen to fail, but for `rates`, which the pipe keeps for the engine."""
    assert {*MEANT_FOR.values(), "listing"} - {None} == {*NAMES} - {"rates"}


def verdicts_of(outcomes):
    return {outcome.check.name: outcome for outcome in outcomes}


def assert_conforms(outcomes, *, skipped=()):
    """Every check passed but those that may be skipped."""
    outcomes = verdicts_of(outcomes)
    assert set(outcomes) == set(NAMES)
    left = {name: (o.verdict, o.message) for name, o in outcomes.items() if o.verdict != "passed"}
    assert {name: verdict for name, (verdict, _) in left.items()} == dict.fromkeys(skipped, "skipped"), left


@pytest.mark.parametrize(("model", "sums_db"), [("hpss", -120), ("testing:tiny", -120), ("testing:loud", -120)])
def test_engines_without_weights_keep_the_contract(model, sums_db):
    """HPSS and the engines for applications' tests pass, with the claim that their stems sum to the mixture."""
    assert_conforms(examine(model, sums_db=sums_db))


@pytest.mark.weights
@pytest.mark.parametrize("model", ["spleeter:2stems", "spleeter+hpss"])
def test_spleeter_keeps_the_contract(model, spleeter_weights):
    """Spleeter and the cascade pass; what lies above 11 kHz is in none of their stems, so they claim no sum."""
    assert_conforms(examine(model, offline=True), skipped=["sum"])


def test_demucs_keeps_the_contract(tmp_path):
    """A Demucs network passes; an untrained one's stems do not resemble the mixture, so they have no place in it."""
    save_network(tmp_path, "tiny", "htdemucs", segment=1)
    outcomes = examine("tiny", repo=tmp_path, device="cpu", runtime="torch")
    assert_conforms(outcomes, skipped=["sum", "alignment"])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_engines_of_any_rate_and_channels_are_tried(rate, channels):
    """The kit keeps to the rate and channels of the engine's spec; a spec that was not installed is not listed."""
    spec = pass_through_spec(sample_rate=rate, channels=channels, normalization="track")
    # Undoing the normalisation adds the recording's mean to each stem, as Demucs does: the sum keeps no promise.
    assert_conforms(examine(spec), skipped=["listing", "sum"])


def no_weights(spec, options):
    """Open nothing: a factory."""
    raise WeightsUnavailable("there is no network", model=spec.name)


def test_what_cannot_be_had_is_skipped_but_not_in_ci(monkeypatch):
    """Without weights every check of the opened engine is skipped with the reason; where CI=true, that is a failure."""
    spec = attrs.evolve(pass_through_spec(), factory=f"{__name__}:no_weights")
    monkeypatch.delenv("CI", raising=False)
    local = verdicts_of(examine(spec))
    assert {name for name, outcome in local.items() if outcome.verdict != "skipped"} == {"spec"}
    assert "there is no network" in local["silence"].message
    monkeypatch.setenv("CI", "true")
    assert [name for name, outcome in verdicts_of(examine(spec)).items() if outcome.verdict == "failed"] == ["opens"]


def test_an_engine_that_does_not_import_says_so():
    """A package that is missing is no excuse where the spec names no extra to install."""
    spec = attrs.evolve(pass_through_spec(), factory="no_such_module:Engine")
    outcomes = verdicts_of(examine(spec, only=["opens", "silence"]))
    assert outcomes["opens"].verdict == "failed"
    assert "no_such_module" in outcomes["opens"].message
    assert outcomes["silence"].verdict == "skipped"
    assert "opens" in outcomes["silence"].message


def test_a_name_that_nobody_offers_is_refused(run):
    """An unknown model or option ends the run with usage errors, before anything is tried."""
    with pytest.raises(UnknownModel):
        examine("hpps")
    done = run("--isomix-engine=hpps")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "did you mean hpss?" in done.stderr
    done = run("--isomix-engine=hpss", "--isomix-engine-option=devise=cpu")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "devise" in done.stderr


def test_checks_stand_beside_ones_own_tests(run, tmp_path):
    """Checks are collected beside a folder's own tests, chosen with -k and counted like them."""
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    done = run("--isomix-engine=broken:Sound", "-k", "mine or silence or segment", "-v")
    assert done.returncode == 0
    assert "collected 22 items / 19 deselected / 3 selected" in done.stdout
    assert "isomix-engine[broken:Sound]::silence PASSED" in done.stdout


def test_without_the_option_nothing_is_imported(run, tmp_path):
    """In a run that asks for no engine, the plugin brings neither numpy nor anything else of isomix."""
    (tmp_path / "test_mine.py").write_text(
        "import sys\n"
        "def test_mine():\n"
        "    loaded = {name for name in sys.modules if name.split('.')[0] in ('isomix', 'numpy', 'attrs')}\n"
        "    assert loaded == {'isomix', 'isomix._version', 'isomix.testing', 'isomix.testing.pytest_plugin'}\n"
    )
    done = run("-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:anyio")
    assert done.returncode == 0, done.stdout


def test_every_rule_is_written_where_failures_say():
    """The tutorial has a heading for each check, in the kit's order, with the rule as the kit states it."""
    page = (ROOT / "docs" / "write-an-engine.md").read_text()
    headings = [line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")]
    assert [heading for heading in headings if heading in NAMES] == NAMES
    written = " ".join(page.split())
    assert [check.name for check in CHECKS if check.rule not in written] == []
