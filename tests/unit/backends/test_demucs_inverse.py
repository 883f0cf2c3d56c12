"""Demucs' inverse transform, done faster."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from demucs.htdemucs import HTDemucs
from tests.tiny_demucs import SMALL, STEMS

from isomix.backends.demucs.inverse import InverseTransform


@pytest.mark.parametrize("samples", [4096, 44100, 44101, 50000])
@pytest.mark.parametrize("channels", [1, 2])
def test_it_gives_what_demucs_gives(samples: int, channels: int) -> None:
    """Sample for sample, but for the rounding of float32."""
    network = HTDemucs(STEMS, **SMALL["htdemucs"])
    bins, frames = network.nfft // 2, math.ceil(samples / network.hop_length)
    draw = torch.Generator().manual_seed(samples + channels)
    parts = torch.randn(2 * channels, bins, frames, generator=draw)
    with torch.inference_mode():
        expected = network._ispec(network._mask(None, parts[None, None]), samples)[0, 0].numpy()
        actual = InverseTransform(bins, frames, samples)(parts)
    assert actual.shape == expected.shape == (channels, samples)
    error = np.square(actual - expected, dtype=np.float64).sum() / np.square(expected, dtype=np.float64).sum()
    assert 10 * np.log10(error) < -120
