"""From a model's name to its engine, or to its spec alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import attrs

from isomix.audio.overlap import Segmentation
from isomix.backends.demucs.bag import Bag
from isomix.backends.demucs.catalog import OVERLAP, RELEASES, make_spec
from isomix.backends.demucs.engine import DemucsEngine, Part, Selection
from isomix.backends.demucs.loading import Package, read_package
from isomix.backends.demucs.weights import Library
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec
from isomix.errors import InvalidOptions, WeightsUnavailable
from isomix.runtime.torch import TorchRuntime, prepare


def open_demucs(spec: EngineSpec, options: EngineOptions) -> DemucsEngine:
    """Load a model.

    Parameters
    ----------
    spec : EngineSpec
        Its name says which one. With ``options.repo``, the networks themselves say what their stems, rate and
        segments are, and the engine's own spec says it after them.
    options : EngineOptions
        What is asked for.

    Returns
    -------
    DemucsEngine

    Raises
    ------
    WeightsUnavailable
        If the weights are nowhere, damaged, or not to be trusted.
    EngineUnavailable
        If the device, or a package that the networks need, is missing.
    """
    runtime = TorchRuntime.from_options(options)
    library = Library(spec.name, options)
    bag = library.get_bag()
    if options.repo or not any(release.name == spec.name for release in RELEASES):
        spec = _describe(bag, library, options)
    wanted = tuple(stem for stem in spec.stems if options.stems is None or stem in options.stems)
    if not wanted:
        raise InvalidOptions(f"{spec.name} has none of these stems", option="stems", value=options.stems)
    positions = bag.needed(spec.stems, wanted)
    files = library.get_files([bag.signatures[position] for position in positions])
    load = cache(lambda signature: _load(files[signature], spec, options))
    parts = tuple(
        _make_part(position, bag, *load(bag.signatures[position]), spec.stems, wanted, options.overlap)
        for position in positions
    )
    shortest = min((part.cut for part in parts), key=lambda cut: cut.length)
    return DemucsEngine(attrs.evolve(spec, segmentation=shortest), options, runtime, parts)


def describe(name: str, options: EngineOptions) -> EngineSpec:
    """Describe a model by what its own files say.

    Parameters
    ----------
    name : str
        A bag's name, a network's signature, or ``"hf://namespace/name"``.
    options : EngineOptions
        Where its files are.

    Returns
    -------
    EngineSpec

    Raises
    ------
    WeightsUnavailable
        If it is nowhere.
    """
    library = Library(name, options)
    return _describe(library.get_bag(), library, options)


def _describe(bag: Bag, library: Library, options: EngineOptions) -> EngineSpec:
    signature = bag.signatures[0]
    package = read_package(library.get_files([signature])[signature], trust_pickle=options.trust_pickle)
    if package.channels not in (1, 2):
        raise WeightsUnavailable(f"{bag.name!r} is for {package.channels} channels, not 1 or 2", model=bag.name)
    return make_spec(
        bag.name,
        package.stems,
        length=int(package.sample_rate * package.segment_seconds(bag.segment)),
        sample_rate=package.sample_rate,
        channels=package.channels,
        summary=f"{len(bag.signatures)} network(s) of the user's",
    )


def _load(path: Path, spec: EngineSpec, options: EngineOptions) -> tuple[Package, Any]:
    """Return a file's package and its network, if it is one of this model's."""
    package = read_package(path, trust_pickle=options.trust_pickle)
    facts = package.stems, package.sample_rate, package.channels
    expected = spec.stems, spec.sample_rate, spec.channels
    if facts != expected:
        raise WeightsUnavailable(f"{path} is for {facts}, {spec.name!r} for {expected}", model=spec.name, path=path)
    return package, package.build()


def _make_part(
    position: int,
    bag: Bag,
    package: Package,
    network: Any,
    stems: tuple[str, ...],
    wanted: tuple[str, ...],
    overlap: float | None,
) -> Part:
    network.segment = package.segment_seconds(bag.segment)
    length = int(package.sample_rate * network.segment)
    return Part(
        position=position,
        network=prepare(Selection(network, [stems.index(stem) for stem in wanted])),
        weights=bag.weights_of(position, stems, wanted),
        cut=Segmentation(length=length, hop=length).with_overlap(OVERLAP if overlap is None else overlap),
        # Demucs' oldest network pads its input up, its newest to the length it was trained on; the other takes any.
        input_length=getattr(network, "valid_length", lambda samples: samples),
    )
