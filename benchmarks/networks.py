"""Demucs networks with random weights, saved as Demucs publishes its own: they cost what trained ones do."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.htdemucs import HTDemucs
from demucs.states import save_with_checksum

STEMS = ["drums", "bass", "other", "vocals"]
REAL: dict[str, Any] = {"t_layers": 5, "bottom_channels": 512, "segment": Fraction(39, 5)}
"""htdemucs as it was released: 41.5 million parameters."""
TINY: dict[str, Any] = {"channels": 4, "dconv_depth": 1, "segment": 8}
"""An HDemucs with segments and buffers as large, and little arithmetic: what remains is the pipe's cost."""


def save_network(
    folder: Path, name: str, arguments: dict[str, Any], *, kind: Callable[..., Any] = HTDemucs, seed: int = 0
) -> None:
    """Write a network to ``folder/<name>-<checksum>.th``.

    Parameters
    ----------
    folder : Path
        A ``repo`` for Demucs and isomix.
    name : str
        Its signature.
    arguments : dict
        `REAL` or `TINY`.
    kind : class
        `HTDemucs` for `REAL`, `HDemucs` for `TINY`.
    seed : int
        Of the weights.
    """
    torch.manual_seed(seed)
    network = kind(STEMS, **arguments)
    state = {key: value.half() for key, value in network.state_dict().items()}
    package = {"klass": kind, "args": (STEMS,), "kwargs": arguments, "state": state}
    save_with_checksum(package, folder / f"{name}.th")


def save_bag_of_four(folder: Path, name: str, arguments: dict[str, Any]) -> None:
    """Write four networks and a bag in which each answers for one stem, as ``htdemucs_ft`` is made."""
    signatures = [f"{name}{index}" for index in range(len(STEMS))]
    for index, signature in enumerate(signatures):
        save_network(folder, signature, arguments, seed=index + 1)
    weights = [[float(row == column) for column in range(len(STEMS))] for row in range(len(STEMS))]
    (folder / f"{name}.yaml").write_text(f"models: {signatures}\nweights: {weights}\n")
