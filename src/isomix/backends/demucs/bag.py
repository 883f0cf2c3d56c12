"""A bag: which networks a model is made of, and what each of them says of each stem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
import yaml

from isomix.errors import WeightsUnavailable

_SIGNATURE = re.compile(r"\w[\w.+-]*")
"""Signatures are parts of file names, and a definition may be a stranger's."""


@attrs.frozen
class Bag:
    """The networks of a model, by signature.

    Parameters
    ----------
    name : str
        Name of the model.
    signatures : tuple of str
        One per network; the same network may come twice.
    weights : tuple of tuple of float, optional
        ``weights[network][stem]``; None for all the same.
    segment : float, optional
        Seconds that override the networks' own.

    Examples
    --------
    >>> bag = parse_bag("pair", "{models: [a, b], weights: [[1, 0], [0, 1]]}")
    >>> bag.needed(("drums", "vocals"), ("vocals",))
    [1]
    """

    name: str
    signatures: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...] | None = None
    segment: float | None = None

    def weights_of(self, network: int, stems: Sequence[str], wanted: Sequence[str]) -> tuple[float, ...]:
        """Return what a network weighs in each wanted stem."""
        row = self.weights[network] if self.weights else (1.0,) * len(stems)
        return tuple(row[stems.index(stem)] for stem in wanted)

    def needed(self, stems: Sequence[str], wanted: Sequence[str]) -> list[int]:
        """Return the networks that a wanted stem depends on.

        Parameters
        ----------
        stems : sequence of str
            What the networks return.
        wanted : sequence of str
            Some of them.

        Raises
        ------
        WeightsUnavailable
            If the bag's weights are for another number of stems, or leave a wanted one without any network.
        """
        if self.weights and any(len(row) != len(stems) for row in self.weights):
            raise _malformed(self.name, f"its weights are not for the {len(stems)} stems of its networks")
        rows = [self.weights_of(network, stems, wanted) for network in range(len(self.signatures))]
        for stem, column in zip(wanted, zip(*rows, strict=True), strict=True):
            if not sum(column):
                raise _malformed(self.name, f"no network has a weight for {stem}")
        return [network for network, row in enumerate(rows) if any(row)]


def format_bag(bag: Bag) -> str:
    """Return a bag's definition, as `parse_bag` reads it.

    Examples
    --------
    >>> parse_bag("one", format_bag(Bag("one", ("12345678",), segment=4.0)))
    Bag(name='one', signatures=('12345678',), weights=None, segment=4.0)
    """
    document = {"models": list(bag.signatures), "weights": bag.weights and [list(row) for row in bag.weights]}
    text: str = yaml.safe_dump({**document, "segment": bag.segment}, sort_keys=False)
    return text


def parse_bag(name: str, text: str) -> Bag:
    """Read a bag's definition as Demucs writes it.

    Parameters
    ----------
    name : str
        Name of the model.
    text : str
        YAML with ``models`` and perhaps ``weights`` and ``segment``.

    Returns
    -------
    Bag

    Raises
    ------
    WeightsUnavailable
        If it is anything else.
    """
    try:
        return _from_document(name, yaml.safe_load(text))
    except (yaml.YAMLError, TypeError, ValueError, KeyError) as error:
        raise _malformed(name, f"{type(error).__name__}: {error}") from error


def _from_document(name: str, document: dict[str, Any]) -> Bag:
    signatures = tuple(str(signature) for signature in document["models"])
    weights, segment = document.get("weights"), document.get("segment")
    rows = tuple(tuple(float(weight) for weight in row) for row in weights) if weights else None
    if not signatures or (rows and len(rows) != len(signatures)):
        raise ValueError("a bag needs one or more models, and as many rows of weights if any")
    if strange := [signature for signature in signatures if not _SIGNATURE.fullmatch(signature)]:
        raise ValueError(f"{strange[0]!r} is no signature")
    return Bag(name, signatures, rows, None if segment is None else float(segment))


def _malformed(name: str, reason: str) -> WeightsUnavailable:
    return WeightsUnavailable(f"the definition of {name!r} cannot be used: {reason}", model=name)
