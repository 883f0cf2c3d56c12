"""A sorted table of keys and values as TensorFlow and LevelDB write it, read with every checksum verified.

A table is blocks, then a 48-byte footer: two block handles (metaindex, index) as varints, padding, a magic number.
A block is entries with prefix-compressed keys, an array of restart offsets, its length; a type byte and a masked
CRC32C follow it. The index block maps the last key of each data block to that block's handle.
(TensorFlow: ``tensorflow/core/lib/io/format.cc`` and ``block.cc``.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from isomix.errors import IntegrityError

MAGIC = 0xDB4775248B80FB57
FOOTER_BYTES = 48
TRAILER_BYTES = 5
_MASK_DELTA = 0xA282EAD8
_UINT32 = 0xFFFFFFFF
_MAX_VARINT_BYTES = 10


def masked_crc32c(data: bytes) -> int:
    """Return the CRC32C of some bytes as TensorFlow stores it: rotated and offset.

    Parameters
    ----------
    data : bytes
        What to sum.

    Examples
    --------
    >>> hex(masked_crc32c(b""))
    '0xa282ead8'
    """
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _UINT32


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the number at a position, seven bits a byte, and the position behind it.

    Raises
    ------
    ValueError
        If the bytes end first or the number has more than 64 bits.
    """
    value = 0
    for shift, byte in enumerate(data[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, position + shift + 1
    raise ValueError(f"no number ends at byte {position}")


def read_table(path: Path) -> dict[bytes, bytes]:
    """Read every key and value of a table.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of bytes to bytes
        In the order of the keys.

    Raises
    ------
    IntegrityError
        If the file is not such a table, is cut short, is compressed, or a checksum does not fit.
    """
    data = path.read_bytes()
    try:
        return dict(_read_entries(data))
    except ValueError as error:
        raise IntegrityError(f"{path.name} is not a readable checkpoint index: {error}", path=str(path)) from error


def _read_entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(data) < FOOTER_BYTES:
        raise ValueError(f"it has {len(data)} bytes, a footer alone has {FOOTER_BYTES}")
    footer = data[-FOOTER_BYTES:]
    if (magic := int.from_bytes(footer[-8:], "little")) != MAGIC:
        raise ValueError(f"its last 8 bytes are {magic:#x}, not {MAGIC:#x}")
    metaindex, position = _read_handle(footer, 0)
    index, _ = _read_handle(footer, position)
    # The metaindex holds nothing that is needed, but damage to it is damage to the file.
    _read_block(data, *metaindex)
    for _, handle in _parse_block(_read_block(data, *index)):
        yield from _parse_block(_read_block(data, *_read_handle(handle, 0)[0]))


def _read_handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return (offset, size), position


def _read_block(data: bytes, offset: int, size: int) -> bytes:
    end = offset + size
    if end + TRAILER_BYTES > len(data) - FOOTER_BYTES:
        raise ValueError(f"a block ends at byte {end}, behind the end of the blocks")
    kind, crc = struct.unpack_from("<BI", data, end)
    if crc != masked_crc32c(data[offset : end + 1]):
        raise ValueError(f"the checksum of the block at byte {offset} does not fit")
    if kind != 0:
        raise ValueError(f"the block at byte {offset} is compressed (type {kind}), which is not supported")
    return data[offset:end]


def _parse_block(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or end < 0:
        raise ValueError("a block is shorter than its own list of restarts")
    key, position = b"", 0
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        value_size, position = read_varint(block, position)
        value_start = position + unshared
        if shared > len(key) or value_start + value_size > end:
            raise ValueError("an entry of a block reaches beyond it")
        key = key[:shared] + block[position:value_start]
        position = value_start + value_size
        yield key, block[value_start:position]
