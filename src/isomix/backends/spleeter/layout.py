"""Spleeter's variables under clean names: what a checkpoint must hold, and its conversion to safetensors.

Keras numbered the layers of all U-Nets in the order they were built: U-Net 0 has ``conv2d`` to ``conv2d_6``,
``conv2d_transpose`` to ``conv2d_transpose_5`` and ``batch_normalization`` to ``batch_normalization_11``; U-Net 1 goes
on from there. Here a U-Net bears its stem's name, such as in ``vocals.down.0.conv.weight``, and kernels are turned to
torch's order: (output, input, height, width), for transposed convolutions (input, output, height, width).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from isomix.backends.spleeter.checkpoint import Checkpoint
from isomix.errors import IntegrityError, StorageError

DEPTH = 6
INDEX_FILE = "model.index"
CONVERTED_FILE = "model.safetensors"

_CONV = {"kernel": "weight", "bias": "bias"}
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def list_variables(stems: Sequence[str]) -> dict[str, str]:
    """List the variables of the stems' U-Nets.

    Parameters
    ----------
    stems : sequence of str
        Names of the U-Nets, in Spleeter's order.

    Returns
    -------
    dict of str to str
        From the name here to the name in the checkpoint.

    Examples
    --------
    >>> list_variables(["vocals", "accompaniment"])["accompaniment.down.0.conv.weight"]
    'conv2d_7/kernel'
    """
    return dict(pair for number, stem in enumerate(stems) for pair in _list_unet(stem, number))


def _list_unet(stem: str, number: int) -> Iterator[tuple[str, str]]:
    convs, norms = (DEPTH + 1) * number, 2 * DEPTH * number
    for level in range(DEPTH):
        yield from _list_layer(f"{stem}.down.{level}.conv", "conv2d", convs + level, _CONV)
        yield from _list_layer(f"{stem}.up.{level}.conv", "conv2d_transpose", DEPTH * number + level, _CONV)
        if level < DEPTH - 1:  # the deepest one is in the checkpoint, but nothing in Spleeter uses it
            yield from _list_layer(f"{stem}.down.{level}.norm", "batch_normalization", norms + level, _NORM)
        yield from _list_layer(f"{stem}.up.{level}.norm", "batch_normalization", norms + DEPTH + level, _NORM)
    yield from _list_layer(f"{stem}.mask", "conv2d", convs + DEPTH, _CONV)


def _list_layer(ours: str, kind: str, number: int, parts: dict[str, str]) -> Iterator[tuple[str, str]]:
    theirs = f"{kind}_{number}" if number else kind
    for their_part, our_part in parts.items():
        yield f"{ours}.{our_part}", f"{theirs}/{their_part}"


def convert_checkpoint(folder: Path, target: Path, stems: Sequence[str]) -> None:
    """Convert a TensorFlow checkpoint of Spleeter to one safetensors file; every checksum is verified.

    Parameters
    ----------
    folder : Path
        Holds ``model.index`` and its data shards.
    target : Path
        Folder that receives ``model.safetensors``.
    stems : sequence of str
        Names of the U-Nets, in Spleeter's order.

    Raises
    ------
    IntegrityError
        If the checkpoint is damaged or is not of as many U-Nets.
    StorageError
        If a file cannot be read or written.
    """
    index = folder / INDEX_FILE
    checkpoint = Checkpoint(index)
    if f"conv2d_{(DEPTH + 1) * len(stems)}/kernel" in checkpoint.variables:
        raise IntegrityError(f"{index.name} holds more U-Nets than {', '.join(stems)}", path=str(index))
    tensors = {}
    for ours, theirs in list_variables(stems).items():
        values = checkpoint.read(theirs)
        tensors[ours] = np.ascontiguousarray(values.transpose(3, 2, 0, 1) if values.ndim == 4 else values)
    try:
        # Not `save_file`: that makes the file its owner's alone, and a cache may serve several users.
        (target / CONVERTED_FILE).write_bytes(save(tensors))
    except OSError as error:
        raise StorageError(f"{CONVERTED_FILE} cannot be written: {error}", path=str(target)) from error
