"""A short-time Fourier transform whose inverse gives the signal back."""

import numpy as np
from scipy import fft

HOPS_PER_FRAME = 4  # squared Hann windows a quarter of their length apart sum to 3/2


class Stft:
    """Analysis and synthesis with one Hann window.

    Parameters
    ----------
    frame_samples : int
        Samples of a frame, a multiple of 4.
    """

    def __init__(self, frame_samples):
        self.frame_samples = frame_samples
        self.hop_samples = frame_samples // HOPS_PER_FRAME
        self._lead = frame_samples - self.hop_samples
        self._window = np.hanning(frame_samples + 1)[:-1].astype(np.float32)

    def analyse(self, signal):
        """Return the spectrum (..., frames, bins) of a signal (..., samples) of any length."""
        samples = signal.shape[-1]
        frames = -(-samples // self.hop_samples) + HOPS_PER_FRAME - 1
        padded = np.zeros((*signal.shape[:-1], self.frame_samples + (frames - 1) * self.hop_samples), np.float32)
        padded[..., self._lead : self._lead + samples] = signal
        views = np.lib.stride_tricks.sliding_window_view(padded, self.frame_samples, axis=-1)
        return fft.rfft(views[..., :: self.hop_samples, :] * self._window)

    def synthesise(self, spectrum, samples):
        """Return the signal (..., samples) of a spectrum."""
        frames = fft.irfft(spectrum, self.frame_samples) * (self._window / np.float32(1.5))
        count = frames.shape[-2]
        quarters = frames.reshape(*frames.shape[:-1], HOPS_PER_FRAME, self.hop_samples)
        joined = np.zeros((*frames.shape[:-2], count + HOPS_PER_FRAME - 1, self.hop_samples), np.float32)
        for quarter in range(HOPS_PER_FRAME):
            joined[..., quarter : quarter + count, :] += quarters[..., quarter, :]
        return joined.reshape(*joined.shape[:-2], -1)[..., self._lead : self._lead + samples]
