"""Mean and standard deviation in one pass."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from isomix.audio.statistics import TrackStatistics


def gather(audio: np.ndarray, edges: list[int]) -> TrackStatistics:
    statistics = TrackStatistics()
    for block in np.split(audio, sorted(edge % (audio.shape[1] + 1) for edge in edges), axis=1):
        statistics.add(block)
    return statistics


@settings(deadline=None)
@given(
    samples=st.integers(2, 500),
    edges=st.lists(st.integers(0, 500), max_size=8),
    offset=st.floats(-100, 100),
    seed=st.integers(0, 99),
)
def test_it_equals_numpy(samples, edges, offset, seed):
    """However the recording is cut, the figures are numpy's of its mean channel."""
    audio = (np.random.default_rng(seed).standard_normal((2, samples)) + offset).astype(np.float32)
    statistics, middle = gather(audio, edges), audio.astype(float).mean(axis=0)
    np.testing.assert_allclose(statistics.mean, middle.mean(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(statistics.deviation, middle.std(ddof=1), rtol=1e-6, atol=1e-9)


def test_an_offset_costs_no_digits():
    """A deviation of 0.001 on an offset of 1000 is found, which a sum of squares would lose."""
    noise = np.random.default_rng(0).standard_normal((1, 100_000)) * 1e-3
    audio = (noise + 1000).astype(np.float32)
    assert abs(gather(audio, [10, 5000]).deviation / audio.astype(float).std(ddof=1) - 1) < 1e-9


def test_normalising_can_be_undone():
    """Normalised audio has mean 0 and deviation 1; restored, it is the audio again."""
    audio = np.random.default_rng(0).uniform(-0.2, 0.3, (1, 5000)).astype(np.float32)
    statistics = gather(audio, [])
    normal = statistics.normalise(audio)
    assert normal.dtype == np.float32
    assert abs(normal.mean()) < 1e-5
    assert abs(normal.std() - 1) < 1e-3
    np.testing.assert_allclose(statistics.restore(normal), audio, atol=1e-6)


def test_before_any_audio_nothing_changes():
    """Statistics of nothing leave audio as it is."""
    audio = np.ones((2, 3), np.float32)
    statistics = TrackStatistics()
    statistics.add(np.zeros((2, 0), np.float32))
    assert statistics.normalise(audio) is audio
    assert statistics.restore(audio) is audio


def test_silence_and_a_single_sample_stay_finite():
    """Where there is no deviation to divide by, values stay finite and come back."""
    for audio in (np.zeros((2, 10), np.float32), np.full((2, 1), 0.5, np.float32)):
        statistics = gather(audio, [])
        assert np.isfinite(statistics.normalise(audio)).all()
        np.testing.assert_array_equal(statistics.restore(statistics.normalise(audio)), audio)
