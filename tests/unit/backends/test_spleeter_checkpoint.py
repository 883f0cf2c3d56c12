"""TensorFlow checkpoints are read exactly, and damage of any kind is a typed error."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensor_bundle import write_bundle

from isomix.backends.spleeter.catalog import FAMILIES
from isomix.backends.spleeter.checkpoint import Checkpoint
from isomix.backends.spleeter.layout import CONVERTED_FILE, convert_checkpoint, list_variables
from isomix.backends.spleeter.table import FOOTER_BYTES
from isomix.errors import IntegrityError, StorageError

VARIABLES = {
    "conv2d/bias": np.linspace(-1, 1, 16, dtype=np.float32),
    "conv2d/kernel": np.arange(800, dtype=np.float32).reshape(5, 5, 2, 16),
    "conv2d_1/kernel": np.ones((1, 1, 1, 300), np.float64),
    "flags": np.array([True, False]),
    "global_step": np.array(1234),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"), VARIABLES)


def read_all(index: Path) -> dict[str, bytes]:
    checkpoint = Checkpoint(index)
    return {name: checkpoint.read(name).tobytes() for name in checkpoint.variables}


def damaged(bundle: Path, index: bytes | None = None, data: bytes | None = None) -> Path:
    """Write a copy of the bundle with other bytes; return its index."""
    folder = bundle.parent / "damaged"
    folder.mkdir(exist_ok=True)
    data_file = bundle.with_name("model.data-00000-of-00001")
    (folder / data_file.name).write_bytes(data_file.read_bytes() if data is None else data)
    (folder / bundle.name).write_bytes(bundle.read_bytes() if index is None else index)
    return folder / bundle.name


def test_values_read_back_exactly(bundle: Path) -> None:
    """Every variable has the values, the shape and the type that were written."""
    checkpoint = Checkpoint(bundle)
    assert set(checkpoint.variables) == set(VARIABLES)
    for name, values in VARIABLES.items():
        read = checkpoint.read(name)
        assert read.dtype == values.dtype
        np.testing.assert_array_equal(read, values, strict=True)


def test_listing_needs_no_data(bundle: Path, tmp_path: Path) -> None:
    """The index alone tells names, types, shapes and places; values without their file are a typed error."""
    alone = tmp_path / "model.index"
    alone.write_bytes(bundle.read_bytes())
    checkpoint = Checkpoint(alone)
    kernel = checkpoint.variables["conv2d/kernel"]
    assert (kernel.dtype, kernel.shape, kernel.offset_bytes, kernel.size_bytes) == ("float32", (5, 5, 2, 16), 64, 3200)
    with pytest.raises(StorageError, match="data-00000-of-00001 cannot be read"):
        checkpoint.read("conv2d/kernel")


@given(st.data())
def test_no_flipped_bit_goes_unnoticed(bundle: Path, data: st.DataObject) -> None:
    """A flipped bit anywhere is a typed error, or lies in the footer's padding and changes nothing."""
    index, values = bundle.read_bytes(), bundle.with_name("model.data-00000-of-00001").read_bytes()
    whole = bytearray(index + values)
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= 1 << data.draw(st.integers(0, 7))
    copy = damaged(bundle, bytes(whole[: len(index)]), bytes(whole[len(index) :]))
    try:
        found = read_all(copy)
    except IntegrityError:
        return
    assert len(index) - FOOTER_BYTES <= position < len(index) - 8
    assert found == read_all(bundle)


@given(st.data())
def test_a_truncated_index_is_refused(bundle: Path, data: st.DataObject) -> None:
    """An index that ends early is never read."""
    index = bundle.read_bytes()
    with pytest.raises(IntegrityError):
        Checkpoint(damaged(bundle, index=index[: data.draw(st.integers(0, len(index) - 1))]))


@given(st.data())
def test_truncated_data_are_refused(bundle: Path, data: st.DataObject) -> None:
    """Data that end early are never read whole."""
    values = bundle.with_name("model.data-00000-of-00001").read_bytes()
    cut = values[: data.draw(st.integers(0, len(values) - 1))]
    with pytest.raises(IntegrityError, match="ends before"):
        read_all(damaged(bundle, data=cut))


@given(st.binary(max_size=200))
def test_any_header_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, header: bytes) -> None:
    """Bytes that are no protocol buffer, under a checksum that fits, are a typed error and nothing else."""
    index = write_bundle(tmp_path_factory.getbasetemp(), {}, header=header)
    with suppress(IntegrityError):
        Checkpoint(index)


def test_a_compressed_index_is_refused(tmp_path: Path) -> None:
    """A block of a compressed type is named as the reason."""
    with pytest.raises(IntegrityError, match="compressed"):
        Checkpoint(write_bundle(tmp_path, VARIABLES, kind=1))


def test_big_endian_numbers_are_refused(tmp_path: Path) -> None:
    """A header that says big-endian is named as the reason."""
    with pytest.raises(IntegrityError, match="big-endian"):
        Checkpoint(write_bundle(tmp_path, VARIABLES, header=b"\x08\x01\x10\x01"))


def test_a_missing_index_is_a_typed_error(tmp_path: Path) -> None:
    """A path to nothing is a storage error that names the file."""
    with pytest.raises(StorageError, match="index cannot be read"):
        Checkpoint(tmp_path / "model.index")


def test_an_unknown_variable_is_a_typed_error(bundle: Path) -> None:
    """Asking for a variable that is not there names it."""
    with pytest.raises(IntegrityError, match="no variable 'conv2d_99/kernel'"):
        Checkpoint(bundle).read("conv2d_99/kernel")


def test_a_checkpoint_of_another_model_is_not_converted(bundle: Path, tmp_path: Path) -> None:
    """A checkpoint that lacks a U-Net's variables is refused and nothing is written."""
    with pytest.raises(IntegrityError, match="no variable"):
        convert_checkpoint(bundle.parent, tmp_path, ["vocals"])
    assert not (tmp_path / CONVERTED_FILE).exists()


def test_a_checkpoint_of_more_stems_is_not_converted(tmp_path: Path) -> None:
    """A checkpoint with one U-Net too many is another model's."""
    write_bundle(tmp_path, {"conv2d_7/kernel": np.zeros(1, np.float32)})
    with pytest.raises(IntegrityError, match="more U-Nets"):
        convert_checkpoint(tmp_path, tmp_path, ["vocals"])


@pytest.mark.reference
@pytest.mark.parametrize(("name", "count"), [("2stems", 149), ("4stems", 297), ("5stems", 371)])
def test_official_indexes_hold_the_documented_variables(reference: Path, name: str, count: int) -> None:
    """The three official index files list exactly the variables of the networks, float32 and one step counter."""
    family = FAMILIES[name]
    variables = dict(Checkpoint(reference / "spleeter" / "official_index" / name / "model.index").variables)
    assert len(variables) == count
    assert sum(variable.size_bytes for variable in variables.values()) == family.weights.files[1].size_bytes
    step = variables.pop("global_step")
    assert (step.dtype, step.shape) == ("int64", ())
    assert {variable.dtype for variable in variables.values()} == {"float32"}
    unused = set(variables) - set(list_variables(family.stems).values())
    assert {variables[name].shape for name in unused} == {(512,)}
    assert len(unused) == 4 * len(family.stems)
    assert variables["conv2d/kernel"].shape == (5, 5, 2, 16)
    assert variables["conv2d_transpose/kernel"].shape == (5, 5, 256, 512)


@pytest.mark.reference
def test_a_bundle_of_tensorflow_reads_back(reference: Path) -> None:
    """A checkpoint that TensorFlow wrote gives the values that were put into it."""
    checkpoint = Checkpoint(reference / "spleeter" / "tiny_bundle" / "model.index")
    kernel = np.arange(800, dtype=np.float32).reshape(5, 5, 2, 16) / 100
    np.testing.assert_allclose(checkpoint.read("conv2d/kernel"), kernel, rtol=1e-7)
    np.testing.assert_allclose(checkpoint.read("conv2d/bias"), np.linspace(-1, 1, 16), rtol=1e-6)
    assert checkpoint.read("batch_normalization/gamma").tolist() == [1.5] * 16
    assert checkpoint.read("global_step") == 1234
    assert checkpoint.read("global_step").dtype == np.int64
