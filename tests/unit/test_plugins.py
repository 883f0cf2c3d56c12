"""Engines of other distributions, installed for real: found, isolated, refused."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from isomix.domain.options import EngineOptions
from isomix.errors import DuplicateEngine, EngineError, EngineUnavailable, InvalidOptions, PluginError, UnknownModel
from isomix.plugins import GROUP, Registry, discover, installed, list_models, open_engine

GOOD = """
import isomix

@isomix.hookimpl
def isomix_engines():
    cut = isomix.Segmentation(length=4, hop=4)
    yield isomix.EngineSpec(name="{model}", stems=("vocals",), factory="{factory}", segmentation=cut, extra="{extra}")
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that lays a distribution with one plugin module on the path, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def lay(distribution: str, code: str, module: str | None = None, target: str | None = None) -> str:
        module = module or distribution.replace("-", "_")
        made.append(module)
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{distribution} = {target or module}\n")
        return module

    yield lay
    for module in made:
        sys.modules.pop(module, None)


def good(model: str, factory: str = "isomix.testing.engines:PassThroughEngine", extra: str = "") -> str:
    return GOOD.format(model=model, factory=factory, extra=extra)


def find() -> Registry:
    return discover(entry_points(group=GROUP))


def test_isomix_comes_by_the_same_door():
    """The engines of isomix are entry points of its distribution, and all of them can be used."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    assert {"hpss", "spleeter", "demucs", "cascade"} <= set(points)
    assert points["hpss"].dist.name == "isomix"
    assert not installed().broken
    assert "hpss" in [model.name for model in list_models()]


def test_a_strangers_engine_is_found_and_opened(install):
    """A distribution with an entry point adds its models to the list, and they open."""
    install("strange-engines", good("strange"))
    registry = find()
    assert "strange" in [spec.name for spec in registry.list_specs()]
    assert registry.offers["strange"][0].distribution == "strange-engines"
    engine = open_engine(registry.get_spec("strange"), EngineOptions())
    assert engine.stems == ("vocals",)


def test_models_are_listed_by_name(install):
    """The list is sorted, whoever offers what."""
    install("strange-engines", good("aaa"))
    names = [spec.name for spec in find().list_specs()]
    assert names == sorted(names)
    assert names[0] == "aaa"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("raise RuntimeError('not on this machine')", "not on this machine"),
        ("syntax error", "invalid syntax"),
        ("import isomix\n@isomix.hookimpl\ndef isomix_engines():\n    return 1 / 0", "division by zero"),
        ("import isomix\n@isomix.hookimpl\ndef isomix_engines():\n    return ['a model']", "not an EngineSpec"),
        ("import isomix\n@isomix.hookimpl\ndef isomix_engines():\n    return None", "no function isomix_engines"),
        ("def isomix_engines():\n    return []", "no function isomix_engines"),
        ("", "no function isomix_engines"),
        ("import isomix\n@isomix.hookimpl\ndef isomix_engine():\n    return []", "isomix_engine"),
        (good("x", factory="no colon"), "package.module:function"),
    ],
    ids=[
        "missing import",
        "raises",
        "syntax",
        "hook raises",
        "no spec",
        "returns None",
        "unmarked hook",
        "no hook",
        "misspelt hook",
        "bad spec",
    ],
)
def test_a_broken_plugin_takes_nobody_else_down(install, code, told):
    """A plugin that cannot be used is reported with its distribution and reason; all others work."""
    install("broken-engines", code)
    install("strange-engines", good("strange"))
    registry = find()
    (broken,) = registry.broken
    assert (broken.name, broken.distribution) == ("broken-engines", "broken-engines")
    assert told in str(broken.error)
    assert {"hpss", "strange"} <= {spec.name for spec in registry.list_specs()}
    with pytest.raises(UnknownModel, match="left out as broken: broken-engines"):
        registry.get_spec("its-model")


def test_an_entry_point_to_nothing_is_broken(install):
    """An entry point that names a module that is not there is reported like any other."""
    install("broken-engines", "", target="gone.away")
    assert [broken.name for broken in find().broken] == ["broken-engines"]


def test_a_name_offered_twice_is_refused(install):
    """Two distributions with one name: neither is taken, both are named, and other models work."""
    install("first-engines", good("strange"))
    install("second-engines", good("strange"))
    registry = find()
    with pytest.raises(DuplicateEngine, match="first-engines") as caught:
        registry.get_spec("strange")
    assert set(caught.value.distributions) == {"first-engines", "second-engines"}
    assert "strange" not in [spec.name for spec in registry.list_specs()]
    assert registry.get_spec("hpss").name == "hpss"


def test_nobody_can_take_the_name_of_one_of_isomix(install):
    """A stranger's model under isomix's name is a conflict, not a replacement."""
    install("strange-engines", good("hpss"))
    with pytest.raises(DuplicateEngine, match="isomix"):
        find().get_spec("hpss")


def test_an_unknown_model_is_refused_with_those_there_are():
    """The refusal carries the name and every model that could be named, and tells those of similar names."""
    with pytest.raises(UnknownModel, match=r"did you mean .*htdemucs") as caught:
        installed().get_spec("htdemucs_extra_large")
    assert caught.value.model == "htdemucs_extra_large"
    assert "hpss" in caught.value.known
    assert isinstance(caught.value, LookupError)


def open_strange(install, code: str, extra: str = ""):
    install("strange-engines", good("strange", factory="strange_factory:open", extra=extra))
    (Path(sys.path[0]) / "strange_factory.py").write_text(code)
    try:
        return open_engine(find().get_spec("strange"), EngineOptions())
    finally:
        sys.modules.pop("strange_factory", None)


@pytest.mark.parametrize(
    "code", ["import nothing_of_that_name", "def open(spec, options):\n    import nothing_of_that_name"]
)
@pytest.mark.parametrize(("extra", "remedy"), [("shiny", 'pip install "isomix[shiny]"'), ("", "reinstall")])
def test_a_missing_package_is_named_with_its_remedy(install, code, extra, remedy):
    """A package that is missing when the engine is opened is named, early or late, with how to get it."""
    with pytest.raises(EngineUnavailable, match="nothing_of_that_name") as caught:
        open_strange(install, code, extra)
    assert remedy in caught.value.hint
    assert isinstance(caught.value.__cause__, ImportError)


@pytest.mark.parametrize("code", ["", "def open(spec, options):\n    raise RuntimeError('no such device')"])
def test_an_engine_that_does_not_open_is_a_typed_error(install, code):
    """A factory that is not there or raises is an engine error with its cause, never a stranger's exception."""
    with pytest.raises(EngineError, match="strange cannot be opened") as caught:
        open_strange(install, code)
    assert caught.value.__cause__ is not None


def test_what_a_factory_refuses_is_refused(install):
    """An isomix error of a factory reaches the caller as it is."""
    code = "import isomix.errors\ndef open(spec, options):\n    raise isomix.errors.InvalidOptions('not so')"
    with pytest.raises(InvalidOptions, match="not so"):
        open_strange(install, code)


def test_a_factory_that_returns_no_engine_is_refused(install):
    """What a factory returns is an engine or an error."""
    with pytest.raises(PluginError, match="not a SeparationEngine"):
        open_strange(install, "def open(spec, options):\n    return 'engine'")
