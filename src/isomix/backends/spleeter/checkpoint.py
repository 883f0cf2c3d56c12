"""TensorFlow checkpoints (tensor bundles, format V2) without TensorFlow.

``model.index`` is a table (see `table`) from variable names to little protocol buffers that say type, shape, shard,
offset, size and CRC32C; the key ``""`` holds a header. ``model.data-0000x-of-0000n`` are the raw bytes.
(TensorFlow: ``tensorflow/core/protobuf/tensor_bundle.proto``.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from isomix.backends.spleeter.table import masked_crc32c, read_table, read_varint
from isomix.errors import IntegrityError, StorageError

DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    9: "int64",
    10: "bool",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
"""TensorFlow's ``DataType`` numbers whose bytes are numpy's, little-endian."""

Message = dict[int, list[Any]]


@attrs.frozen(kw_only=True)
class Variable:
    """Where one variable's values lie.

    Parameters
    ----------
    name : str
        Such as ``"conv2d/kernel"``.
    dtype : str
        numpy's name of the type, or ``"tensorflow:N"`` for one that numpy lacks.
    shape : tuple of int
        Empty for a scalar.
    shard : int
        Which data file.
    offset_bytes, size_bytes : int
        Place in the data file.
    crc32c : int
        Masked checksum of the bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset_bytes: int
    size_bytes: int
    crc32c: int


class Checkpoint:
    """An open checkpoint; only its index has been read.

    Parameters
    ----------
    index : Path
        The ``.index`` file; its data shards lie beside it.

    Attributes
    ----------
    variables : mapping of str to Variable
        By name, in the order of the file.

    Raises
    ------
    StorageError
        If the index cannot be read.
    IntegrityError
        If it is damaged or of an unsupported kind.

    Examples
    --------
    >>> checkpoint = Checkpoint(Path("2stems/model.index"))  # doctest: +SKIP
    >>> checkpoint.read("conv2d/bias").shape  # doctest: +SKIP
    (16,)
    """

    variables: Mapping[str, Variable]

    def __init__(self, index: Path) -> None:
        self._index = index
        try:
            table = read_table(index)
        except OSError as error:
            raise StorageError(f"{index.name} cannot be read: {error}", path=str(index)) from error
        try:
            self._shards = _read_header(table.pop(b"", None))
            self.variables = {key.decode(): _read_entry(key.decode(), value) for key, value in table.items()}
        except ValueError as error:
            raise self._damaged(index, str(error)) from error

    def read(self, name: str) -> NDArray[Any]:
        """Read one variable's values and verify them.

        Parameters
        ----------
        name : str
            A key of `variables`.

        Returns
        -------
        ndarray
            Of the variable's shape and type.

        Raises
        ------
        IntegrityError
            If the checkpoint has no such variable, or its bytes are missing, damaged or of an unsupported type.
        StorageError
            If the data file cannot be read.
        """
        if (variable := self.variables.get(name)) is None:
            raise self._damaged(self._index, f"it has no variable {name!r}")
        path = self._index.with_name(f"{self._index.stem}.data-{variable.shard:05d}-of-{self._shards:05d}")
        data = self._read_bytes(path, variable)
        if masked_crc32c(data) != variable.crc32c:
            raise self._damaged(path, f"the checksum of {name} does not fit")
        try:
            return np.frombuffer(data, np.dtype(variable.dtype).newbyteorder("<")).reshape(variable.shape)
        except (TypeError, ValueError) as error:
            raise self._damaged(path, f"{name} cannot be read as {variable.dtype} {variable.shape}") from error

    def _read_bytes(self, path: Path, variable: Variable) -> bytes:
        try:
            with path.open("rb") as file:
                if path.stat().st_size < variable.offset_bytes + variable.size_bytes:
                    raise self._damaged(path, f"it ends before {variable.name} does")
                file.seek(variable.offset_bytes)
                return file.read(variable.size_bytes)
        except OSError as error:
            raise StorageError(f"{path.name} cannot be read: {error}", path=str(path)) from error

    @staticmethod
    def _damaged(path: Path, why: str) -> IntegrityError:
        return IntegrityError(f"{path.name} is not a readable checkpoint: {why}", path=str(path))


def _read_header(data: bytes | None) -> int:
    """Return the number of shards."""
    if data is None:
        raise ValueError("it has no header")
    header = _read_message(data)
    if _last(header, 2):
        raise ValueError("its numbers are big-endian, which is not supported")
    return _last(header, 1)


def _read_entry(name: str, data: bytes) -> Variable:
    entry = _read_message(data)
    if 7 in entry:
        raise ValueError(f"{name} is stored in slices, which is not supported")
    shape = _read_message(entry.get(2, [b""])[-1])
    number = _last(entry, 1)
    return Variable(
        name=name,
        dtype=DTYPES.get(number, f"tensorflow:{number}"),
        shape=tuple(_last(_read_message(size), 1) for size in shape.get(2, ())),
        shard=_last(entry, 3),
        offset_bytes=_last(entry, 4),
        size_bytes=_last(entry, 5),
        crc32c=_last(entry, 6),
    )


def _last(message: Message, field: int) -> int:
    """Return a number of a message; an absent one is zero, of several the last counts."""
    return int(message.get(field, [0])[-1])


def _read_message(data: object) -> Message:
    message: Message = {}
    if not isinstance(data, bytes):
        raise ValueError("a number stands where a message should")
    for field, value in _read_fields(data):
        message.setdefault(field, []).append(value)
    return message


def _read_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield field numbers and raw values of a protocol buffer."""
    position = 0
    while position < len(data):
        tag, position = read_varint(data, position)
        kind = tag & 7
        if kind == 0:
            number, position = read_varint(data, position)
            yield tag >> 3, number
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, position = read_varint(data, position)
        if size is None or position + size > len(data):
            raise ValueError("an entry is not a protocol buffer")
        value = data[position : position + size]
        position += size
        yield tag >> 3, value if kind == 2 else int.from_bytes(value, "little")
