"""Spleeter's STFT and its inverse, in blocks and by two threads."""

from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from isomix.backends.spleeter.catalog import FRAME_SAMPLES, HOP_SAMPLES, SEGMENTATION
from isomix.backends.spleeter.transform import WINDOW, Transform

Audio = NDArray[np.float32]
BINS = 1024


@pytest.fixture
def mixture() -> Audio:
    """Return two segments of stereo noise."""
    noise = np.random.default_rng(0).standard_normal((2, 2, SEGMENTATION.length))
    return np.asarray(0.1 * noise, np.float32)


def plain(mixture: Audio, mask: Audio) -> NDArray[np.float64]:
    """Do it in the plain way, in float64: all frames of one channel at once, each added where it lies."""
    stem = np.zeros(SEGMENTATION.length)
    for frame, start in enumerate(range(0, SEGMENTATION.length - FRAME_SAMPLES + 1, HOP_SAMPLES)):
        here = slice(start, start + FRAME_SAMPLES)
        spectrum = np.fft.rfft(mixture[here].astype(float) * WINDOW)
        spectrum[:BINS] *= mask[frame]
        spectrum[BINS:] = 0
        stem[here] += np.fft.irfft(spectrum) * WINDOW * 2 / 3
    return stem


def test_it_equals_the_plain_way(mixture: Audio) -> None:
    """Every stem of every channel and segment is the masked spectrum back in time, to 1e-6 of full scale."""
    transform = Transform(BINS)
    masks = np.random.default_rng(1).random((2, 3, 2, 512, BINS), np.float32)
    spectra, magnitudes = transform.analyse(mixture)
    np.testing.assert_allclose(magnitudes, np.abs(spectra), rtol=1e-6)
    stems = transform.synthesise(spectra, masks)
    for segment, stem, channel in ((0, 0, 0), (0, 2, 1), (1, 1, 0), (1, 2, 1)):
        expected = plain(mixture[segment, channel], masks[segment, stem, channel])
        np.testing.assert_allclose(stems[segment, stem, channel], expected, atol=1e-6)


def test_stems_are_the_callers(mixture: Audio) -> None:
    """A later segment changes nothing of the stems that were given out, though the spectra's memory is used again."""
    transform = Transform(BINS)
    masks = np.ones((2, 1, 2, 512, BINS), np.float32)
    first = transform.synthesise(transform.analyse(mixture)[0], masks)
    kept = first.copy()
    transform.synthesise(transform.analyse(-mixture)[0], masks)
    np.testing.assert_array_equal(first, kept)


def test_no_thread_is_left_of_a_transform_that_is_gone() -> None:
    """What nobody holds any more ends its thread, without being closed."""

    def count() -> int:
        return sum(thread.name == "isomix-spleeter" for thread in threading.enumerate())

    gc.collect()
    before, transform = count(), Transform(BINS)
    assert count() == before + 1
    del transform
    deadline = time.monotonic() + 10
    while count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert count() == before


@pytest.mark.parametrize("channel", [0, 1])
def test_an_error_in_one_channel_is_raised_when_both_have_ended(mixture: Audio, channel: int) -> None:
    """Whichever channel's thread fails, the caller hears of it, and the next segment is separated."""
    transform, ended = Transform(BINS), []

    def work(place: tuple[int, ...]) -> None:
        if place[1] == channel:
            raise ArithmeticError("as it was asked for")
        time.sleep(0.05)
        ended.append(place)

    with pytest.raises(ArithmeticError):
        transform._for_each_channel(work, 1)
    assert ended == [(0, 1 - channel)]
    assert transform.analyse(mixture)[1].any()


def test_memory_is_used_again(mixture: Audio) -> None:
    """Segments of one shape give their spectra in the same memory; those of another shape do not."""
    transform = Transform(BINS)
    first, second, other = (transform.analyse(part)[0] for part in (mixture, -mixture, mixture[:1]))
    assert first is second
    assert other.shape[0] == 1
