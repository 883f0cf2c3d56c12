"""The docs are run: a page whose example fails, fails the build."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import isomix
from isomix import errors

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder_with_songs(tmp_path, monkeypatch):
    """An empty folder with two short recordings, made the current one."""
    monkeypatch.chdir(tmp_path)
    noise = 0.1 * np.random.default_rng(0).standard_normal((3 * 44100, 2))
    soundfile.write("song.mp3", noise, 44100)
    soundfile.write("other-song.flac", noise, 44100)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda page: page.name)
def test_every_python_block_runs(page, folder_with_songs, request):
    """The Python blocks of a page run in order, in a folder that holds the recordings they name."""
    text = page.read_text()
    if "spleeter" in "".join(BLOCK.findall(text)):
        request.getfixturevalue("spleeter_weights")
    names: dict[str, object] = {"__name__": "page"}
    for block in BLOCK.findall(text):
        exec(compile(block, str(page), "exec"), names)


def modules():
    """Every module of the package whose import needs nothing that is not installed for development."""
    return [
        name
        for _, name, _ in pkgutil.walk_packages(isomix.__path__, "isomix.")
        if not name.endswith("__main__") and "openvino" not in name
    ]


@pytest.mark.parametrize("name", modules())
def test_docstring_examples_are_true(name):
    """Every example in a docstring gives what it says."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    module = importlib.import_module(name)
    for test in finder.find(module, name):
        runner.run(test)
    assert runner.failures == 0


def test_every_error_has_a_row_in_the_docs():
    """docs/errors.md tells every class with its code and status."""
    page = (ROOT / "docs" / "errors.md").read_text()
    classes = [thing for thing in vars(errors).values() if isinstance(thing, type)]
    missing = [c.__name__ for c in classes if f"| `{c.__name__}` | `{c.code}` | {c.status_hint} |" not in page]
    assert missing == []


def test_every_link_between_pages_leads_somewhere():
    """Relative links of the README and the docs point at files that are there."""
    broken = [
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
