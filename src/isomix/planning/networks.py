"""Which networks a model will run for the wanted stems, and how much audio each of them will be given."""

from __future__ import annotations

from math import ceil

import attrs

from isomix.audio.overlap import Segmentation
from isomix.backends.demucs.catalog import RELEASES
from isomix.engine import MAX_SHIFT_SECONDS
from isomix.planning.leaves import Leaf

DEMUCS = "isomix.backends.demucs."
"""Begins the factories of models that are bags of networks."""


@attrs.frozen(kw_only=True)
class Network:
    """A network that will run.

    Parameters
    ----------
    name : str
        Its signature in a bag, or the model's name.
    model : str
        The model that it belongs to.
    stems : tuple of str
        The wanted stems that it has a say in.
    segmentation : Segmentation
        How it wants a recording cut.
    sample_rate : int
        In Hz.
    passes : int
        How often it hears the recording: once, or once per shift.
    pads : bool
        Whether a short piece costs as much as a whole segment.
    """

    name: str
    model: str
    stems: tuple[str, ...]
    segmentation: Segmentation
    sample_rate: int
    passes: int = 1
    pads: bool = True

    @property
    def segment_seconds(self) -> float:
        """What it sees at once."""
        return self.segmentation.length / self.sample_rate

    @property
    def overlap(self) -> float:
        """Fraction of a segment that the next shares."""
        return 1 - self.segmentation.hop / self.segmentation.length

    def count_segments(self, duration: float) -> int:
        """Return the segments of one pass over a recording, whose duration is in seconds."""
        cut, samples = self.segmentation, round(duration * self.sample_rate)
        return ceil((samples + self._silence) / cut.hop) if samples else 0

    def count_seconds(self, duration: float) -> float:
        """Return the seconds of audio that it is given in all passes over a recording, whose duration is in seconds."""
        cut, segments = self.segmentation, self.count_segments(duration)
        samples = round(duration * self.sample_rate) + self._silence
        whole = segments if self.pads else min(max((samples - cut.length) // cut.hop + 1, 0), segments)
        rest = sum(samples - index * cut.hop for index in range(whole, segments))
        return self.passes * (whole * cut.length + rest) / self.sample_rate

    @property
    def _silence(self) -> int:
        """Samples before the recording, on average."""
        shift = MAX_SHIFT_SECONDS / 2 * self.sample_rate if self.passes > 1 else 0
        return self.segmentation.lead + round(shift)


def list_networks(leaf: Leaf) -> list[Network]:
    """List what a model will run.

    Parameters
    ----------
    leaf : Leaf
        The model, made of no others, and its options.

    Returns
    -------
    list of Network

    Raises
    ------
    WeightsUnavailable
        If the model is a bag whose definition is nowhere.

    Examples
    --------
    >>> from isomix.domain.options import EngineOptions
    >>> from isomix.plugins import installed
    >>> (network,) = list_networks(Leaf(installed().get_spec("hpss"), EngineOptions()))
    >>> network.name, network.count_segments(60.0)
    ('hpss', 12)
    """
    spec, options = leaf.spec, leaf.options
    cut = spec.segmentation if options.overlap is None else spec.segmentation.with_overlap(options.overlap)
    whole = Network(
        name=spec.name,
        model=spec.name,
        stems=leaf.stems,
        segmentation=cut,
        sample_rate=spec.sample_rate,
        passes=max(options.shifts, 1),
    )
    return _list_of_bag(leaf, whole) if spec.factory.startswith(DEMUCS) else [whole]


def _list_of_bag(leaf: Leaf, whole: Network) -> list[Network]:
    from isomix.backends.demucs.weights import Library  # torch, with which it looks into torch's own cache

    bag = Library(leaf.spec.name, attrs.evolve(leaf.options, offline=True)).get_bag()
    # Of Demucs' networks only the transformers fill a short piece up to what they were trained on.
    pads = any(release.name == leaf.spec.name and "ht" in release.name for release in RELEASES)
    return [
        attrs.evolve(
            whole,
            name=bag.signatures[position],
            stems=tuple(
                stem
                for stem, weight in zip(leaf.stems, bag.weights_of(position, leaf.spec.stems, leaf.stems), strict=True)
                if weight
            ),
            pads=pads,
        )
        for position in bag.needed(leaf.spec.stems, leaf.stems)
    ]
