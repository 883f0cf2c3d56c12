"""Writes small TensorFlow checkpoints, so that their reader can be tested without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isomix.backends.spleeter.checkpoint import DTYPES
from isomix.backends.spleeter.table import MAGIC, masked_crc32c

NUMBERS = {name: number for number, name in DTYPES.items()}


def write_bundle(
    folder: Path,
    variables: Mapping[str, NDArray[np.generic]],
    *,
    kind: int = 0,
    header: bytes = b"\x08\x01",
    per_block: int = 2,
) -> Path:
    """Write ``model.index`` and its data, with prefix-compressed keys and several blocks; return the index."""
    data = b""
    entries = [(b"", header)]
    for name, values in sorted(variables.items()):
        raw = values.tobytes()
        entries.append((name.encode(), _entry(values, len(data), raw)))
        data += raw
    (folder / "model.data-00000-of-00001").write_bytes(data)
    index = folder / "model.index"
    index.write_bytes(_table(entries, kind, per_block))
    return index


def _entry(values: NDArray[np.generic], offset: int, raw: bytes) -> bytes:
    shape = b"".join(_message(2, _number(1, size)) for size in values.shape)
    numbers = _number(1, NUMBERS[values.dtype.name]) + _message(2, shape) + _number(4, offset) + _number(5, len(raw))
    return numbers + b"\x35" + struct.pack("<I", masked_crc32c(raw))


def _table(entries: list[tuple[bytes, bytes]], kind: int, per_block: int) -> bytes:
    out = b""
    handles = []
    for first in range(0, len(entries), per_block):
        some = entries[first : first + per_block]
        block = _block(some, kind)
        handles.append((some[-1][0], _varint(len(out)) + _varint(len(block) - 5)))
        out += block
    metaindex, index = _block([], 0), _block(handles, 0)
    footer = _varint(len(out)) + _varint(len(metaindex) - 5)
    out += metaindex
    footer += _varint(len(out)) + _varint(len(index) - 5)
    return out + index + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def _block(entries: list[tuple[bytes, bytes]], kind: int) -> bytes:
    out, last = b"", b""
    for key, value in entries:
        shared = next((i for i, (a, b) in enumerate(zip(key, last, strict=False)) if a != b), min(len(key), len(last)))
        out += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        last = key
    out += struct.pack("<IIB", 0, 1, kind)
    return out + struct.pack("<I", masked_crc32c(out))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
