"""The buffer under every stream."""

from __future__ import annotations

import weakref

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from isomix.audio.blocks import SampleBuffer, interleave


def ramp(start: int, samples: int) -> np.ndarray:
    return np.arange(start, start + samples, dtype=np.float32)[None]


def filled(sizes: list[int]) -> SampleBuffer:
    """Return a buffer that holds 0, 1, 2, ... in blocks of these sizes."""
    buffer = SampleBuffer((1,))
    for size in sizes:
        buffer.append(ramp(buffer.end, size))
    return buffer


SIZES = st.lists(st.integers(0, 20), max_size=10)


@settings(deadline=None)
@given(sizes=SIZES, start=st.integers(-10, 250), samples=st.integers(0, 60))
def test_a_read_does_not_see_the_cut(sizes, start, samples):
    """A read gives what was appended, however it was cut, and silence outside."""
    buffer, end = filled(sizes), sum(sizes)
    positions = np.arange(start, start + samples)
    expected = np.where((positions >= 0) & (positions < end), positions, 0)
    assert buffer.end == end
    np.testing.assert_array_equal(buffer.read(start, start + samples)[0], expected)


@settings(deadline=None)
@given(sizes=SIZES, takes=st.lists(st.integers(0, 30), max_size=10))
def test_takes_are_the_stream_in_order(sizes, takes):
    """What is taken, joined, is the beginning of what was appended; the rest waits."""
    buffer = filled(sizes)
    taken = [buffer.take(min(samples, buffer.waiting)) for samples in takes]
    joined = np.concatenate([ramp(0, 0), *taken], axis=1)
    np.testing.assert_array_equal(joined, ramp(0, joined.shape[1]))
    assert buffer.waiting == sum(sizes) - joined.shape[1]


def test_forgotten_blocks_are_let_go():
    """A block that lies wholly before the position is freed and reads as silence; others stay."""
    buffer, block = SampleBuffer((1,)), ramp(0, 10)
    alive = weakref.ref(block)
    buffer.append(block)
    buffer.append(ramp(10, 10))
    del block
    buffer.forget(9)
    assert alive() is not None
    buffer.forget(10)
    assert alive() is None
    np.testing.assert_array_equal(buffer.read(8, 12), [[0, 0, 10, 11]])


def test_a_read_is_a_copy():
    """Changing what was read does not change the buffer."""
    buffer = filled([5])
    buffer.read(0, 5)[:] = 9
    np.testing.assert_array_equal(buffer.read(0, 5), ramp(0, 5))


@settings(deadline=None)
@given(channels=st.integers(1, 3), samples=st.integers(0, 50), dtype=st.sampled_from(["int16", "int32", "float32"]))
def test_interleaving_transposes_into_a_new_array(channels, samples, dtype):
    """Samples come out in the order of a file, whatever their type and however the block lies in memory."""
    whole = np.arange(channels * (samples + 3), dtype=dtype).reshape(channels, -1)
    block = whole[:, 1 : samples + 1]
    out = interleave(block)
    np.testing.assert_array_equal(out, block.T)
    assert out.flags.c_contiguous
    assert not np.shares_memory(out, whole)
