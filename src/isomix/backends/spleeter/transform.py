"""Segments to stems: Spleeter's STFT, its ratio masks and its inverse STFT around the networks.

(Spleeter: ``spleeter/model/__init__.py``.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from isomix.backends.spleeter.catalog import FRAME_SAMPLES, FRAMES, HOP_SAMPLES, SEGMENTATION

EPSILON = 1e-10
WINDOW_COMPENSATION = 2 / 3
"""One over the sum of the squared windows that cover a sample."""

_HOPS = FRAME_SAMPLES // HOP_SAMPLES


class SegmentNetwork(nn.Module):
    """A Spleeter model from samples to samples.

    Everything but the network itself stays float32: autocast leaves Fourier transforms and arithmetic alone.

    Parameters
    ----------
    network : Module
        ``(batch, channels, frames, bins)`` magnitudes to ``(stems, batch, channels, frames, bins)``.
    bins : int
        Frequency bins it sees; the others are silent in every stem.
    wanted : sequence of int
        Which stems to give. All networks run even so: a mask is a share of their sum.
    """

    def __init__(self, network: nn.Module, bins: int, wanted: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(FRAME_SAMPLES, periodic=True))
        self._bins = bins
        self._wanted = tuple(wanted)

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate segments.

        Parameters
        ----------
        mixture : Tensor of shape (batch, channels, samples), float32
            At most a segment; what is shorter ends in silence.

        Returns
        -------
        Tensor of shape (batch, stems, channels, samples), float32
        """
        samples = mixture.shape[-1]
        spectra = self.analyse(functional.pad(mixture, (0, SEGMENTATION.length - samples)))[..., : self._bins]
        masks = self.masks(self.network(spectra.abs()))
        return torch.stack([self.synthesise(spectra * masks[stem]) for stem in self._wanted], 1)[..., :samples]

    def analyse(self, mixture: Tensor) -> Tensor:
        """Return the spectra of a segment's frames: ``(..., samples)`` to ``(..., frames, bins)``."""
        spectra: Tensor = torch.fft.rfft(mixture.unfold(-1, FRAME_SAMPLES, HOP_SAMPLES) * self.window)
        return spectra

    @staticmethod
    def masks(magnitudes: Tensor) -> Tensor:
        """Return each stem's share of the power; the first axis is the stems."""
        powers = magnitudes.square()
        return (powers + EPSILON / len(powers)) / (powers.sum(0) + EPSILON)

    def synthesise(self, spectra: Tensor) -> Tensor:
        """Undo `analyse`; bins that are not given are zero."""
        frames: Tensor = torch.fft.irfft(spectra, FRAME_SAMPLES) * (self.window * WINDOW_COMPENSATION)
        parts = frames.reshape(*frames.shape[:-1], _HOPS, HOP_SAMPLES)
        out: Tensor = parts.new_zeros((*parts.shape[:-3], FRAMES + _HOPS - 1, HOP_SAMPLES))
        for hop in range(_HOPS):
            out[..., hop : hop + FRAMES, :] += parts[..., hop, :]
        return out.flatten(-2)
