"""From a model's name to its engine, or to its spec alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from isomix.audio.overlap import Segmentation
from isomix.backends.demucs.catalog import OVERLAP, RELEASES, make_spec
from isomix.backends.demucs.engine import DemucsEngine, Part
from isomix.backends.demucs.loading import Package, read_package
from isomix.backends.demucs.running import Runner
from isomix.backends.demucs.weights import Library
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec
from isomix.errors import InvalidOptions, WeightsUnavailable
from isomix.runtime.machine import check_device


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
    LicenceRefused
        If the options ask for commercial use.
    """
    spec.check_licence(options)
    check_device(options)
    files = _Files(spec.name, options)
    if options.repo or not any(release.name == spec.name for release in RELEASES):
        spec = files.describe()
    wanted = tuple(stem for stem in spec.stems if options.stems is None or stem in options.stems)
    if not wanted:
        raise InvalidOptions(f"{spec.name} has none of these stems", option="stems", value=options.stems)
    parts = files.open_parts(spec, wanted)
    shortest = min((part.cut for part in parts), key=lambda cut: cut.length)
    return DemucsEngine(attrs.evolve(spec, segmentation=shortest), options, parts)


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
    EngineUnavailable
        If the device that is asked for is missing; nothing has been fetched then.
    """
    check_device(options)
    return _Files(name, options).describe()


class _Files:
    """A model's files, each read once."""

    def __init__(self, name: str, options: EngineOptions) -> None:
        self._options = options
        self._library = Library(name, options)
        self._bag = self._library.get_bag()
        self._packages: dict[str, Package] = {}
        self._runner = Runner(name, options)

    def describe(self) -> EngineSpec:
        """Return what the first network says, on which the others have to agree."""
        bag = self._bag
        self._read(bag.signatures[:1])
        package = self._packages[bag.signatures[0]]
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

    def open_parts(self, spec: EngineSpec, wanted: tuple[str, ...]) -> tuple[Part, ...]:
        """Return the networks that the wanted stems need, ready to run."""
        bag = self._bag
        positions = bag.needed(spec.stems, wanted)
        self._read([bag.signatures[position] for position in positions])
        networks: dict[str, Any] = {}
        for position in positions:
            signature = bag.signatures[position]
            if signature not in networks:
                networks[signature] = _build(self._packages[signature], spec)
        return tuple(self._make_part(position, networks, spec.stems, wanted) for position in positions)

    def _read(self, signatures: Sequence[str]) -> None:
        unread = [signature for signature in signatures if signature not in self._packages]
        for signature, path in self._library.get_files(unread).items():
            self._packages[signature] = read_package(path, trust_pickle=self._options.trust_pickle)

    def _make_part(
        self, position: int, networks: Mapping[str, Any], stems: Sequence[str], wanted: Sequence[str]
    ) -> Part:
        signature = self._bag.signatures[position]
        package, network = self._packages[signature], networks[signature]
        network.segment = package.segment_seconds(self._bag.segment)
        length = int(package.sample_rate * network.segment)
        overlap = OVERLAP if self._options.overlap is None else self._options.overlap
        return Part(
            position=position,
            network=self._runner.open(package, network, length, [stems.index(stem) for stem in wanted]),
            weights=self._bag.weights_of(position, stems, wanted),
            cut=Segmentation(length=length, hop=length).with_overlap(overlap),
            # Demucs' oldest network pads its input up, its newest to its training length; the other takes any.
            input_length=getattr(network, "valid_length", lambda samples: samples),
        )


def _build(package: Package, spec: EngineSpec) -> Any:
    """Return a package's network, if it is one of this model's."""
    facts = package.stems, package.sample_rate, package.channels
    expected = spec.stems, spec.sample_rate, spec.channels
    if facts != expected:
        message = f"{package.path} is for {facts}, {spec.name!r} for {expected}"
        raise WeightsUnavailable(message, model=spec.name, path=package.path)
    return package.build()
