"""Cutting a stream into segments and joining what comes back."""

from __future__ import annotations

import weakref

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isomix.audio.overlap import Blend, Member, OverlapAdd, Segmentation, triangular_window
from isomix.errors import InvalidOptions

LENGTHS = [0, 1, 100, 29, 30, 31, 40, 41, 1000]
"""For segments of 40 samples and a hop of 30: nothing, one, many, and one either side of hop and segment."""


def noise(samples: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (channels, samples)).astype(np.float32)


def copy_twice(batch: np.ndarray) -> np.ndarray:
    """Return two stems that both are the mixture."""
    return np.stack([batch, batch], axis=1)


def shape_by_place(batch: np.ndarray) -> np.ndarray:
    """Return two stems that depend on where in its segment a sample lies, and on its neighbours."""
    ramp = np.linspace(0.2, 1, batch.shape[-1], dtype=np.float32)
    return np.stack([batch * ramp, batch[..., ::-1] + batch.mean(axis=-1, keepdims=True)], axis=1)


def run_through(stream, mixture: np.ndarray, blocks: list[int]) -> np.ndarray:
    """Push a mixture in blocks of these sizes, over and over, and join what comes out."""
    out, position, turn = [np.zeros((2, 2, 0), np.float32)], 0, 0
    while position < mixture.shape[1]:
        size = blocks[turn % len(blocks)]
        out += stream.push(mixture[:, position : position + size])
        position, turn = position + size, turn + 1
    return np.concatenate([*out, *stream.finish()], axis=-1)


def open_stream(run, cut: Segmentation, **options) -> OverlapAdd:
    return OverlapAdd(run, cut, channels=2, stems=2, **options)


def whole_array(run, cut: Segmentation, mixture: np.ndarray, shift: int = 0, input_length=None) -> np.ndarray:
    """Do the same work the plain way: pad, cut, weigh, add, divide, in float64."""
    samples, margin = mixture.shape[1], 4 * cut.length + shift + cut.lead
    padded = np.pad(mixture, ((0, 0), (margin, margin)))
    total, weights = np.zeros((2, 2, samples + 2 * margin)), np.zeros(samples + 2 * margin)
    window = triangular_window(cut.length).astype(float) if cut.window == "triangular" else np.ones(cut.length)
    for start in range(-cut.lead - shift, samples, cut.hop):
        size = min(cut.length, samples - start)
        needed = input_length(size) if input_length else cut.length
        before = (needed - size) // 2 if cut.align == "centre" else 0
        first = margin + start - before
        output = run(padded[None, :, first : first + needed])[0][..., before : before + size]
        total[..., margin + start : margin + start + size] += output * window[:size]
        weights[margin + start : margin + start + size] += window[:size]
    inside = slice(margin, margin + samples)
    return total[..., inside] / (weights[inside] if cut.window == "triangular" else 1)


CUTS = st.builds(
    lambda length, part, lead, align: Segmentation(
        length=length, hop=max(1, round(length * part)), lead=lead, align=align
    ),
    length=st.integers(1, 60),
    part=st.floats(0.1, 1),
    lead=st.integers(0, 70),
    align=st.sampled_from(["centre", "start"]),
)
BLOCKS = st.lists(st.integers(1, 200), min_size=1, max_size=4)


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize("block", [1, 7, 30, 5000])
def test_the_mixture_comes_back_bit_for_bit(samples, block):
    """Segments that are left as they are join to exactly the mixture, whatever its length and blocks."""
    mixture = noise(samples)
    stems = run_through(open_stream(copy_twice, Segmentation(length=40, hop=30)), mixture, [block])
    np.testing.assert_array_equal(stems, np.stack([mixture, mixture]))


@settings(max_examples=150, deadline=None)
@given(
    samples=st.integers(0, 400),
    cut=CUTS,
    blocks=BLOCKS,
    batch_size=st.integers(1, 5),
    shift=st.integers(0, 150),
    step=st.integers(1, 16),
)
def test_the_mixture_comes_back_however_it_is_cut(samples, cut, blocks, batch_size, shift, step):
    """Neither cut, blocks, batches, shift nor the network's own length change a bit of what passes through."""

    def round_up(length: int) -> int:
        return -(-length // step) * step

    mixture = noise(samples)
    stream = open_stream(copy_twice, cut, batch_size=batch_size, shift=shift, input_length=round_up)
    np.testing.assert_array_equal(run_through(stream, mixture, blocks), np.stack([mixture, mixture]))


@settings(max_examples=100, deadline=None)
@given(samples=st.integers(0, 400), cut=CUTS, blocks=BLOCKS, batch_size=st.integers(1, 5), shift=st.integers(0, 150))
def test_it_equals_the_plain_way(samples, cut, blocks, batch_size, shift):
    """The bounded, running mean equals weighing, adding and dividing the whole array, to 1e-6 of full scale."""
    mixture = noise(samples)
    stream = open_stream(shape_by_place, cut, batch_size=batch_size, shift=shift)
    expected = whole_array(shape_by_place, cut, mixture, shift)
    np.testing.assert_allclose(run_through(stream, mixture, blocks), expected, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(samples=st.integers(0, 400), cut=CUTS, blocks=BLOCKS)
def test_sum_only_adds(samples, cut, blocks):
    """With the window "sum", overlapping segments are added and nothing is weighed or divided."""
    cut = attrs.evolve(cut, window="sum")
    mixture = noise(samples)
    expected = whole_array(shape_by_place, cut, mixture)
    np.testing.assert_allclose(run_through(open_stream(shape_by_place, cut), mixture, blocks), expected, atol=2e-5)


@pytest.mark.parametrize("align", ["centre", "start"])
def test_a_short_last_piece_lies_where_the_cut_says(align):
    """The last piece is in the middle of its segment, with context before it, or at the segment's start."""
    seen = []

    def watch(batch):
        seen.append(batch.copy())
        return copy_twice(batch)

    mixture = noise(50)
    run_through(open_stream(watch, Segmentation(length=40, hop=40, align=align)), mixture, [50])
    before = 15 if align == "centre" else 0
    np.testing.assert_array_equal(seen[-1][0, :, before : before + 10], mixture[:, 40:])
    np.testing.assert_array_equal(seen[-1][0, :, :before], mixture[:, 40 - before : 40])
    assert not seen[-1][0, :, before + 10 :].any()


def test_full_batches_until_the_end():
    """While there may be more to come only whole batches run; the end runs what is left."""
    sizes = []

    def watch(batch):
        sizes.append(len(batch))
        return copy_twice(batch)

    run_through(open_stream(watch, Segmentation(length=40, hop=40), batch_size=3), noise(280), [11])
    assert sizes == [3, 3, 1]


def test_what_is_settled_comes_out_at_once():
    """A block comes out as soon as no later segment can change it, not at the end."""
    stream = open_stream(copy_twice, Segmentation(length=40, hop=30))
    assert sum(block.shape[-1] for block in stream.push(noise(39))) == 0
    assert sum(block.shape[-1] for block in stream.push(noise(1))) == 30


@pytest.mark.parametrize("segments", [20, 200])
def test_memory_does_not_grow_with_the_stream(segments):
    """However long the stream, no more of the mixture is held than a batch and a segment need."""
    cut = Segmentation(length=400, hop=300)
    stream = open_stream(copy_twice, cut, batch_size=2)
    pushed, most = [], 0
    for seed in range(segments * 6):
        block = noise(50, seed=seed)
        pushed.append(weakref.ref(block))
        for _ in stream.push(block):
            pass
        del block
        most = max(most, sum(alive() is not None for alive in pushed) * 50)
    assert most <= cut.hop + 2 * cut.length + 50


@pytest.mark.parametrize(("length", "hop"), [(0, 1), (4, 0), (4, -1), (4, 5)])
def test_a_cut_with_holes_is_refused(length, hop):
    """A segment and a hop have samples, and the hop is no longer than the segment."""
    with pytest.raises(InvalidOptions):
        Segmentation(length=length, hop=hop)


@given(length=st.integers(1, 10**6), overlap=st.floats(0, 1, exclude_max=True))
def test_any_overlap_makes_a_cut(length, overlap):
    """Every overlap below 1 gives a hop of at least a sample, and the larger the overlap the smaller the hop."""
    cut = Segmentation(length=length, hop=length)
    hop = cut.with_overlap(overlap).hop
    assert 1 <= hop <= length
    assert cut.with_overlap(overlap / 2).hop >= hop


def test_the_overlap_of_an_stft_is_fixed():
    """Segments that carry their own window cannot be made to overlap otherwise."""
    with pytest.raises(InvalidOptions, match="fixed"):
        Segmentation(length=4, hop=2, window="sum").with_overlap(0.25)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 1000])
def test_the_triangle(length):
    """The window is symmetric, rises to 1 in the middle and is nowhere zero."""
    window = triangular_window(length)
    np.testing.assert_array_equal(window[: length // 2], window[::-1][: length // 2])
    assert window.shape == (length,)
    assert window.max() == 1
    assert window.min() > 0
    assert (np.diff(window[: (length + 1) // 2]) > 0).all()


def test_a_blend_is_aligned():
    """Members that settle at different times are averaged sample by sample."""
    mixture = noise(1000)
    members = [
        Member(open_stream(copy_twice, Segmentation(length=40, hop=30)), [1.0, 1.0]),
        Member(open_stream(copy_twice, Segmentation(length=333, hop=100), shift=17), [1.0, 1.0]),
    ]
    stems = run_through(Blend(members, (2, 2)), mixture, [37])
    np.testing.assert_array_equal(stems, np.stack([mixture, mixture]))


def test_a_blend_weighs_each_stem():
    """A stem is the weighted mean of the members, and a member of weight zero has no say in it."""

    def constant(value):
        return lambda batch: np.full((len(batch), 2, *batch.shape[1:]), value, np.float32)

    cut = Segmentation(length=40, hop=30)
    members = [Member(open_stream(constant(1), cut), [1.0, 3.0]), Member(open_stream(constant(5), cut), [0.0, 1.0])]
    stems = run_through(Blend(members, (2, 2)), noise(100), [100])
    np.testing.assert_array_equal(stems[0], np.full((2, 100), 1, np.float32))
    np.testing.assert_array_equal(stems[1], np.full((2, 100), 2, np.float32))


def test_an_array_that_may_not_be_written_is_copied():
    """What a callable keeps to itself is left as it is; overlapping segments are joined all the same."""
    mixture = noise(200)

    def run(batch: np.ndarray) -> np.ndarray:
        stems = copy_twice(batch)
        stems.flags.writeable = False
        return stems

    stems = run_through(open_stream(run, Segmentation(length=40, hop=30)), mixture, [64])
    np.testing.assert_array_equal(stems, np.stack([mixture, mixture]))


@pytest.mark.parametrize("hop", [1, 4, 20, 30, 40])
def test_kept_blocks_keep_little_more_than_themselves(hop):
    """Whoever holds on to all that was settled holds at most twice its memory, however much segments overlap."""
    stream, blocks = open_stream(copy_twice, Segmentation(length=40, hop=hop)), []
    for _ in range(20):
        blocks += stream.push(noise(50))
    blocks += stream.finish()
    held = {id(root): root.nbytes for root in map(root_of, blocks)}
    assert sum(held.values()) <= 2.1 * sum(block.nbytes for block in blocks) + 4 * 40 * 4 * 2


def root_of(array: np.ndarray) -> np.ndarray:
    """Return the array whose memory this one is a part of."""
    while array.base is not None:
        array = array.base
    return array


def test_a_block_is_its_receivers():
    """What is written into a settled block changes nothing of what comes later."""
    cut = Segmentation(length=40, hop=30)
    expected = run_through(open_stream(shape_by_place, cut), noise(500), [37])
    stream, out = open_stream(shape_by_place, cut), []
    for start in range(0, 500, 37):
        for block in stream.push(noise(500)[:, start : start + 37]):
            out.append(block.copy())
            block[...] = np.nan
    out += stream.finish()
    np.testing.assert_array_equal(np.concatenate(out, axis=-1), expected)
