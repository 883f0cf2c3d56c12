"""What a model needs that may not be here, each told as `separate` would tell it: packages, a device, weights."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import attrs

from isomix.backends.demucs.catalog import RELEASES
from isomix.backends.spleeter.catalog import get_evidence
from isomix.domain.weights import StoredFile
from isomix.errors import EngineUnavailable, IntegrityError, WeightsUnavailable
from isomix.models.store import WeightsStore
from isomix.planning.leaves import Leaf
from isomix.planning.networks import DEMUCS
from isomix.runtime.choice import Choice, Evidence
from isomix.runtime.machine import check_device, choose_runtime, has_accelerator

SPLEETER = "isomix.backends.spleeter."
HPSS = "isomix.backends.hpss."
_PROVEN = Evidence(is_proven=True)
"""Demucs' transformers run in OpenVINO as well."""


@attrs.frozen
class Setting:
    """Where a model will run, as far as that can be told without opening it.

    Parameters
    ----------
    device, runtime, precision : str or None
        None where only opening it will tell.
    """

    device: str | None = None
    runtime: str | None = None
    precision: str | None = None

    @classmethod
    def joined(cls, settings: Iterable[Setting]) -> Setting:
        """Return one for several models: each word once, None where one of them is unknown."""
        columns = zip(*(attrs.astuple(setting) for setting in settings), strict=True)
        return cls(*(None if None in words else " + ".join(dict.fromkeys(words)) for words in columns))


def check_packages(leaf: Leaf) -> None:
    """Refuse a model whose packages are not installed.

    Raises
    ------
    EngineUnavailable
        Naming what to install.
    """
    spec = leaf.spec
    missing = [name for name in _list_requirements(spec.extra) if not _is_installed(name)]
    if missing:
        raise EngineUnavailable(
            f"{spec.name} cannot be loaded: not installed: {', '.join(missing)}",
            hint=f'pip install "isomix[{spec.extra}]"',
            model=spec.name,
        )
    module = spec.factory.partition(":")[0]
    try:
        found = importlib.util.find_spec(module)
    except ImportError:
        found = None
    if found is None:
        raise EngineUnavailable(
            f"{spec.name} cannot be loaded: there is no module {module}",
            hint="reinstall the plugin's distribution",
            model=spec.name,
        )


def _list_requirements(extra: str) -> list[str]:
    """Return the distributions that an extra of isomix names; of another distribution's extras nothing is known."""
    try:
        lines = requires("isomix") or []
    except PackageNotFoundError:  # used from a folder, never installed
        return []
    named = (re.match(r"([\w.-]+).*;\s*extra\s*==\s*['\"](.+)['\"]", line) for line in lines)
    return [found[1] for found in named if found and extra and found[2] == extra and found[1] != "isomix"]


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def choose_setting(leaf: Leaf) -> Setting:
    """Tell where a model will run.

    Parameters
    ----------
    leaf : Leaf
        The model.

    Returns
    -------
    Setting

    Raises
    ------
    EngineUnavailable, InvalidOptions
        If the device, runtime or precision that is asked for is not there.
    """
    factory, options = leaf.spec.factory, leaf.options
    if factory.startswith(HPSS):
        check_device(options)
        return Setting("cpu", "scipy", "float32")
    if factory.startswith(SPLEETER):
        return _to_setting(leaf, choose_runtime(leaf.spec.name, options, get_evidence(leaf.spec.name)))
    if not factory.startswith(DEMUCS):
        return Setting()
    is_released = any(release.name == leaf.spec.name for release in RELEASES)
    if not is_released and options.runtime != "torch":
        return Setting()  # only the files of the networks tell what kind they are
    choice = choose_runtime(leaf.spec.name, options, _PROVEN if leaf.spec.name.startswith("htdemucs") else None)
    setting = _to_setting(leaf, choice)
    is_measured_when_opened = choice.runtime == "openvino" and options.precision == "auto"
    return attrs.evolve(setting, precision=None) if is_measured_when_opened else setting


def _to_setting(leaf: Leaf, choice: Choice) -> Setting:
    if choice.runtime != "torch":
        return Setting("cpu", choice.runtime, choice.precision)
    options = leaf.options
    if options.device in ("auto", "cpu") and options.precision != "float16" and not has_accelerator():
        return Setting("cpu", "torch", choice.precision)
    from isomix.runtime.torch import TorchRuntime  # seconds to import: only where torch itself has to tell

    runtime = TorchRuntime.from_options(options)
    return Setting(runtime.device_name, "torch", runtime.precision_name)


def count_missing_bytes(leaf: Leaf) -> int | None:
    """Return what opening a model will download, in bytes.

    Parameters
    ----------
    leaf : Leaf
        The model.

    Returns
    -------
    int or None
        None where something is missing whose size nobody has said.

    Raises
    ------
    WeightsUnavailable
        If something is missing and downloads are forbidden, or what is to be taken instead is not there.
    """
    spec, options = leaf.spec, leaf.options
    if spec.factory.startswith(DEMUCS):
        return _count_missing_networks(leaf)
    if spec.weights is None:
        return _count_missing_files(leaf) if spec.stored else 0
    if options.repo is not None:
        _check_exists(options.repo, spec.name, spec.weights.name)
        return 0
    store = WeightsStore(options.weights_dir)
    with suppress(IntegrityError):  # what is damaged is fetched again
        if store.find(spec.weights) is not None:
            return 0
    if options.offline:
        store.get(spec.weights, model=spec.name, offline=True)  # raises, and tells why
    return spec.weights.size_bytes or spec.download_bytes


def _check_exists(repo: Path, model: str, weights: str) -> None:
    if not repo.expanduser().exists():
        raise WeightsUnavailable(
            f"{repo} does not give the weights {weights} of {model}: it does not exist",
            hint="name a folder or archive that has these files, or none, to use what is stored or fetched",
            model=model,
        )


def _count_missing_files(leaf: Leaf) -> int | None:
    module, _, function = leaf.spec.stored.partition(":")
    files: list[StoredFile] = getattr(importlib.import_module(module), function)(leaf.spec, leaf.options)
    sizes = [file.size_bytes for file in files if file.path is None]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _count_missing_networks(leaf: Leaf) -> int | None:
    from isomix.backends.demucs.weights import Library

    library = Library(leaf.spec.name, attrs.evolve(leaf.options, offline=True))
    bag = library.get_bag()
    wanted = [bag.signatures[position] for position in bag.needed(leaf.spec.stems, leaf.stems)]
    try:
        library.get_files(wanted)
    except WeightsUnavailable as error:
        if leaf.options.offline or leaf.options.repo is not None:
            raise
        size_bytes = error.facts.get("size_bytes")
        return size_bytes if isinstance(size_bytes, int) else None
    return 0
