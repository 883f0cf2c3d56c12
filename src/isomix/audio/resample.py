"""From a recording's rate and channels to an engine's, and back to exactly the recording's length."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import soxr

from isomix.audio.blocks import Audio, interleave
from isomix.errors import UnsupportedFormat

_HALF_POWER = float(np.sqrt(0.5))

_DOWNMIX: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    6: ((1, 0, _HALF_POWER, 0, _HALF_POWER, 0), (0, 1, _HALF_POWER, 0, 0, _HALF_POWER)),
    8: (
        (1, 0, _HALF_POWER, 0, _HALF_POWER, 0, _HALF_POWER, 0),
        (0, 1, _HALF_POWER, 0, 0, _HALF_POWER, 0, _HALF_POWER),
    ),
}
"""Stereo from 5.1 (L R C LFE Ls Rs) and 7.1 (L R C LFE Lb Rb Ls Rs), in the order of WAV and FLAC: the coefficients
of ITU-R BS.775-3, table 2, in which the low-frequency channel has no part. Nothing is scaled down: samples are
float, and files share one gain."""


class Resampler:
    """Changes the sample rate of a stream; equal rates pass through untouched.

    Parameters
    ----------
    shape : tuple of int
        The axes before time.
    rate_in, rate_out : int
        In Hz.
    """

    def __init__(self, shape: tuple[int, ...], rate_in: int, rate_out: int) -> None:
        self._shape = shape
        self._stream = None
        if rate_in != rate_out:
            self._stream = soxr.ResampleStream(rate_in, rate_out, int(np.prod(shape)), dtype="float32", quality="HQ")

    def push(self, block: Audio) -> Audio:
        """Take a block of shape (..., samples in); return what is ready, of shape (..., samples out)."""
        return self._process(block, last=False) if self._stream else block

    def finish(self) -> Audio:
        """Return what is left."""
        return self._process(np.zeros((*self._shape, 0), np.float32), last=True)

    def _process(self, block: Audio, *, last: bool) -> Audio:
        if self._stream is None:
            return block
        rows = block.reshape(int(np.prod(self._shape)), block.shape[-1])
        done = self._stream.resample_chunk(interleave(rows), last=last)
        return np.ascontiguousarray(done.T).reshape(*self._shape, -1)


def match_channels(name: str, channels: int, engine_channels: int) -> Callable[[Audio], Audio]:
    """Return what brings a recording's channels to as many as its stems will have.

    Stems have the recording's own channels where the engine can give them (mono, stereo), and stereo where it was
    mixed down (5.1, 7.1).

    Parameters
    ----------
    name : str
        The recording, for messages.
    channels, engine_channels : int
        What it has, what the engine works with.

    Raises
    ------
    UnsupportedFormat
        If there is no standard way.
    """
    if channels in (1, 2):
        return lambda block: block
    if channels not in _DOWNMIX:
        raise UnsupportedFormat(
            f"{name} has {channels} channels; 1, 2, 6 (5.1) and 8 (7.1) are understood",
            hint="mix it down to stereo first; an array is (channels, samples)",
            name=name,
            channels=channels,
        )
    matrix = np.asarray(_DOWNMIX[channels], np.float32)
    if engine_channels == 1:
        matrix = matrix.mean(axis=0, keepdims=True)
    return lambda block: np.asarray(matrix @ block, np.float32)


class EngineRate:
    """The way of a recording into an engine and of the stems back out, exact in length.

    Parameters
    ----------
    stems : int
        Stems that come back.
    channels, sample_rate : int
        Of the recording (after `match_channels`); the sample rate in Hz.
    engine_channels, engine_sample_rate : int
        Of the engine.
    """

    def __init__(
        self, stems: int, *, channels: int, sample_rate: int, engine_channels: int, engine_sample_rate: int
    ) -> None:
        self._channels, self._engine_channels = channels, engine_channels
        self._shape = (stems, channels)
        self._into = Resampler((engine_channels,), sample_rate, engine_sample_rate)
        self._back = Resampler(self._shape, engine_sample_rate, sample_rate)
        self._received = self._returned = 0
        self._silence = engine_sample_rate

    def push(self, block: Audio) -> Audio:
        """Bring a ``(channels, samples)`` block to the engine's channels and rate."""
        self._received += block.shape[-1]
        return self._into.push(_to_channels(block, self._engine_channels))

    def finish(self) -> Audio:
        """Return the rest of the mixture at the engine's rate."""
        return self._into.finish()

    def restore(self, stems: Audio) -> Audio:
        """Bring ``(stems, channels, samples)`` back to the recording's channels and rate."""
        return self._cut(self._back.push(_to_channels(stems, self._channels)))

    def restore_rest(self) -> Iterator[Audio]:
        """Yield the rest of the stems, so that as many samples have come back as went in."""
        # A second of silence pushes out what rounding to whole samples would lose; the cut removes what is too much.
        yield self._cut(self._back.push(np.zeros((*self._shape, self._silence), np.float32)))
        yield self._cut(self._back.finish())

    def _cut(self, stems: Audio) -> Audio:
        stems = stems[..., : self._received - self._returned]
        self._returned += stems.shape[-1]
        return stems


def _to_channels(audio: Audio, channels: int) -> Audio:
    """Duplicate mono, average to mono, or leave as it is."""
    have = audio.shape[-2]
    if have == channels:
        return audio
    if channels == 1:
        return np.asarray(audio.mean(axis=-2, keepdims=True), np.float32)
    return np.repeat(audio, channels, axis=-2)
