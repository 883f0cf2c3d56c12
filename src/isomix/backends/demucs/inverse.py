"""Spectra of stems back into samples, as Demucs does it, in less than half of the time."""

from __future__ import annotations

import numpy as np
import torch

from isomix.audio.blocks import Audio

_OVERLAPS = 4
"""A frame is four hops long (demucs 4.1, ``HTDemucs.__init__``)."""
_EDGE_FRAMES = 2
"""Frames of silence that Demucs puts before and after a segment's own (``HTDemucs._ispec``)."""
_LEAST_ENVELOPE = 1e-11
"""What ``torch.istft`` takes for zero."""


class InverseTransform:
    """The inverse short-time Fourier transform of one length of segment.

    ``HTDemucs._ispec`` goes through ``torch.istft``, whose overlap-add and squared windows are made anew for each
    stem and channel. Here frames are added as whole rows of hops, and the windows' sum is known beforehand. One stem is
    inverted at a time: its buffers are small enough for the allocator to keep, where those of all stems would be new
    pages each time, which took longer than the transform.

    Parameters
    ----------
    bins : int
        Frequencies of a spectrum, without the highest, which Demucs leaves out.
    frames : int
        Columns of a spectrum.
    samples : int
        Length of a segment.
    """

    def __init__(self, bins: int, frames: int, samples: int) -> None:
        self._fft_samples = 2 * bins
        self._hop = self._fft_samples // _OVERLAPS
        self._frames = frames
        window = torch.hann_window(self._fft_samples)
        self._window = window * float(np.sqrt(self._fft_samples))  # the forward transform divided by it
        squares = (window.double() ** 2).view(_OVERLAPS, self._hop)
        columns = frames + 2 * _EDGE_FRAMES
        envelope = torch.zeros(columns + _OVERLAPS - 1, self._hop, dtype=torch.float64)
        for part in range(_OVERLAPS):
            envelope[part : part + columns] += squares[part]
        self._inverse_envelope = (1 / envelope.clamp(min=_LEAST_ENVELOPE)).float()
        # Half a frame is torch's centring, the rest is what Demucs pads (``HTDemucs._spec``).
        start = self._fft_samples // 2 + self._hop // 2 * 3
        self._place = slice(start, start + samples)

    def __call__(self, parts: torch.Tensor) -> Audio:
        """Return samples.

        Parameters
        ----------
        parts : tensor of shape (2 * channels, bins, frames)
            Real and imaginary parts of a stem's spectrum.

        Returns
        -------
        ndarray of shape (channels, samples), float32
        """
        doubled, bins, frames = parts.shape
        channels = doubled // 2
        spectra = torch.zeros(channels, frames, bins + 1, dtype=torch.complex64)
        torch.view_as_real(spectra)[:, :, :bins] = parts.view(channels, 2, bins, frames).permute(0, 3, 2, 1)
        columns = torch.fft.irfft(spectra, n=self._fft_samples).mul_(self._window)
        columns = columns.view(channels, frames, _OVERLAPS, self._hop)
        added = torch.zeros(channels, len(self._inverse_envelope), self._hop)
        for part in range(_OVERLAPS):
            first = _EDGE_FRAMES + part
            added[:, first : first + frames] += columns[:, :, part]
        added *= self._inverse_envelope
        samples: Audio = added.view(channels, -1)[:, self._place].numpy()
        return samples
