"""Spleeter's STFT and its inverse around the masks, in numpy.

What is heavy here is memory traffic, so the frames go through in blocks that stay in the cache, two channels at once.
(Spleeter: ``spleeter/model/__init__.py``.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from weakref import finalize

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from isomix.audio.blocks import Audio
from isomix.audio.one_thread import OneThread
from isomix.backends.spleeter.catalog import FRAME_SAMPLES, FRAMES, HOP_SAMPLES, SEGMENTATION

Spectra = NDArray[np.complex64]
Place = tuple[int, ...]
"""A segment of the batch, and a channel of it."""

WINDOW_COMPENSATION = 2 / 3
"""One over the sum of the squared windows that cover a sample."""
WINDOW = np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES), np.float32)
"""Periodic Hann."""

_SYNTHESIS_WINDOW = WINDOW * np.float32(WINDOW_COMPENSATION)
_HOPS = FRAME_SAMPLES // HOP_SAMPLES
_BLOCK = 64
"""Frames in hand: their samples and spectra are a megabyte each."""


class Transform:
    """Segments to magnitudes, and masks to stems; for one caller at a time.

    Parameters
    ----------
    bins : int
        Frequency bins that are separated; the others are silent in every stem.

    Examples
    --------
    >>> transform = Transform(1024)
    >>> spectra, magnitudes = transform.analyse(np.ones((1, 2, SEGMENTATION.length), np.float32))
    >>> magnitudes.shape, transform.synthesise(spectra, np.ones((1, 3, 2, 512, 1024), np.float32)).shape
    ((1, 2, 512, 1024), (1, 3, 2, 527360))
    """

    def __init__(self, bins: int) -> None:
        self._bins = bins
        self._spectra: Spectra = np.empty(0, np.complex64)
        self._magnitudes: Audio = np.empty(0, np.float32)
        self._helper = OneThread("isomix-spleeter")
        # Not when Python ends: a separation that another thread is still in the middle of needs it to stop in order.
        finalize(self, self._helper.shutdown, wait=False).atexit = False

    def analyse(self, mixture: Audio) -> tuple[Spectra, Audio]:
        """Return the spectra of segments' frames, and their magnitudes.

        Parameters
        ----------
        mixture : ndarray of shape (batch, 2, samples), float32
            Whole segments.

        Returns
        -------
        tuple of ndarray of shape (batch, 2, frames, bins), complex64 and float32
            The same arrays each time, which the next call overwrites: new memory costs more than the work on it.
        """
        shape = (*mixture.shape[:2], FRAMES, self._bins)
        if self._spectra.shape != shape:
            self._spectra, self._magnitudes = np.empty(shape, np.complex64), np.empty(shape, np.float32)
        spectra, magnitudes = self._spectra, self._magnitudes

        def analyse_channel(place: Place) -> None:
            frames = sliding_window_view(mixture[place], FRAME_SAMPLES)[::HOP_SAMPLES]
            for block in _blocks():
                spectra[place][block] = rfft(frames[block] * WINDOW, overwrite_x=True)[:, : self._bins]
                np.abs(spectra[place][block], out=magnitudes[place][block])

        self._for_each_channel(analyse_channel, len(mixture))
        return spectra, magnitudes

    def synthesise(self, spectra: Spectra, masks: Audio) -> Audio:
        """Return the stems: the masked spectra back in time, in overlapping frames.

        Parameters
        ----------
        spectra : ndarray of shape (batch, 2, frames, bins), complex64
            From `analyse`.
        masks : ndarray of shape (batch, stems, 2, frames, bins), float32
            Each stem's share.

        Returns
        -------
        ndarray of shape (batch, stems, 2, samples), float32
        """
        stems = np.empty((*masks.shape[:3], FRAMES + _HOPS - 1, HOP_SAMPLES), np.float32)

        def synthesise_channel(place: Place) -> None:
            segment, channel = place
            masked = np.zeros((_BLOCK, FRAME_SAMPLES // 2 + 1), np.complex64)
            for stem, mask in zip(stems[segment, :, channel], masks[segment, :, channel], strict=True):
                joined = np.zeros((_BLOCK + _HOPS - 1, HOP_SAMPLES), np.float32)
                for block in _blocks():
                    np.multiply(spectra[place][block], mask[block], out=masked[:, : self._bins])
                    _overlap_add(irfft(masked), joined)
                    stem[block] = joined[:_BLOCK]
                    joined[: _HOPS - 1] = joined[_BLOCK:]
                    joined[_HOPS - 1 :] = 0
                stem[FRAMES:] = joined[: _HOPS - 1]

        self._for_each_channel(synthesise_channel, len(masks))
        return stems.reshape(*masks.shape[:3], SEGMENTATION.length)

    def _for_each_channel(self, work: Callable[[Place], None], segments: int) -> None:
        """Do the work of each channel of each segment, two at once: numpy and scipy let other threads run."""

        def do(channel: int) -> None:
            for segment in range(segments):
                work((segment, channel))

        helped = self._helper.submit(do, 1)
        try:
            do(0)
        finally:
            helped.result()  # it works on the same arrays


def _overlap_add(frames: Audio, joined: Audio) -> None:
    """Add windowed frames to a stretch of audio of shape ``(hops, HOP_SAMPLES)``."""
    frames *= _SYNTHESIS_WINDOW
    for hop in range(_HOPS):
        joined[hop : hop + len(frames)] += frames[:, hop * HOP_SAMPLES : (hop + 1) * HOP_SAMPLES]


def _blocks() -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, FRAMES, _BLOCK))
