"""The example plugin, installed beside isomix from their wheels: found, conforming, of use, as the tutorial says."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "examples" / "engine_plugin"
TRUTHS = {"vocals": ("vocals",), "accompaniment": ("drums", "bass", "other")}
FILE_BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of a new environment with both wheels; what these require is borrowed from this environment."""
    folder = tmp_path_factory.mktemp("plugin")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # Built from a copy, so that nothing is left in the checkout.
    copy = shutil.copytree(PLUGIN, folder / "engine_plugin", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT, copy], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    fresh = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([*pip, "--python", fresh, "install", "--no-deps", *folder.glob("*.whl")], check=True)
    borrow_packages(fresh)
    return fresh


def borrow_packages(python):
    """Let an environment see this one's packages, after its own."""
    # A .pth file appends to the path and runs no .pth files found there: this environment's editable isomix stays out.
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    Path(where.stdout.strip(), "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")


def run(python, folder, *arguments):
    """Run Python in a folder without any sign of the checkout in its environment."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    return subprocess.run([python, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_environment_is_that_of_the_wheels(python, tmp_path):
    """Neither isomix nor the plugin comes from the checkout, and the model is listed."""
    places = "import isomix, isomix_karaoke; print(isomix.__file__, isomix_karaoke.__file__)"
    assert str(ROOT) not in run(python, tmp_path, "-c", places).stdout.replace(str(python.parents[1]), "")
    assert re.search(r"^karaoke\b", run(python, tmp_path, "-m", "isomix", "models", "list").stdout, re.MULTILINE)


def test_the_plugin_keeps_the_contract_in_an_empty_folder(python, tmp_path):
    """`pytest --isomix-engine=karaoke` in an empty folder runs the kit: every check passes, the claimed sum too."""
    done = run(python, tmp_path, "-m", "pytest", "--isomix-engine=karaoke", "--isomix-sums-db=-120")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"=+ \d\d passed in", done.stdout), done.stdout
    assert "isomix-engine[karaoke]" in done.stdout


def test_its_own_tests_pass(python, tmp_path):
    """The plugin's tests pass from outside the checkout, against the installed wheel."""
    shutil.copytree(PLUGIN / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    done = run(python, tmp_path, "-m", "pytest", "tests", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_pyproject_tries_the_contract_in_every_run(python, tmp_path):
    """As the package configures pytest, its checks are collected with its tests."""
    shutil.copytree(PLUGIN / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PLUGIN / "pyproject.toml", tmp_path)
    done = run(python, tmp_path, "-m", "pytest", "--collect-only", "-q")
    assert "tests/test_karaoke.py::test_what_is_centred_is_vocals" in done.stdout
    assert "isomix-engine[karaoke]::memory" in done.stdout


@pytest.mark.reference
def test_it_separates_better_than_the_mixture_itself(python, tmp_path, reference):
    """On a real recording its stems are 7 dB and more better than the mixture taken for them, through the command."""
    clip = reference / "80srock"
    done = run(python, tmp_path, "-m", "isomix", "separate", clip / "mixture.flac", "-m", "karaoke", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    mixture = soundfile.read(clip / "mixture.flac")[0]
    for stem, parts in TRUTHS.items():
        truth = sum(soundfile.read(clip / f"{part}.flac")[0] for part in parts)
        (path,) = tmp_path.rglob(f"{stem}.wav")
        gained_db = sdr_db(truth, soundfile.read(path)[0]) - sdr_db(truth, mixture)
        assert gained_db > {"vocals": 8.5, "accompaniment": 7}[stem]


def sdr_db(truth, estimate):
    """Energy of the truth against that of the error, in dB."""
    return 10 * np.log10(np.sum(truth**2) / np.sum((truth - estimate) ** 2))


def test_the_tutorial_builds_this_plugin():
    """Every file of the plugin stands in the tutorial word for word, and every file in the tutorial is the plugin's."""
    page = (ROOT / "docs" / "write-an-engine.md").read_text()
    shown = dict(FILE_BLOCK.findall(page))
    files = [
        path for path in PLUGIN.rglob("*") if path.suffix in (".py", ".toml") and ".pytest_cache" not in path.parts
    ]
    assert shown == {str(path.relative_to(PLUGIN)): path.read_text() for path in files}
