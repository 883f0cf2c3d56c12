"""The shapes that flow through the pipe, and a buffer for a stream of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Audio: TypeAlias = NDArray[np.float32]
"""Float32 samples; the last axis is time, the one before it the channels."""

Sample = TypeVar("Sample", bound=np.generic)


def interleave(audio: NDArray[Sample]) -> NDArray[Sample]:
    """Return samples as files and resamplers want them: a new array of shape (samples, channels).

    Parameters
    ----------
    audio : ndarray of shape (channels, samples)
        Of any type.

    Examples
    --------
    >>> interleave(np.array([[1, 2, 3], [4, 5, 6]])).tolist()
    [[1, 4], [2, 5], [3, 6]]
    """
    out = np.empty(audio.shape[::-1], audio.dtype)
    # Row by row: numpy's own transposing copy goes sample by sample, and takes three times as long.
    for channel, row in enumerate(audio):
        out[:, channel] = row
    return out


class StemStream(Protocol):
    """A separation in progress: mixture blocks go in, settled stem blocks come out.

    What `push` and `finish` yield, joined on the last axis, is as long as everything that was pushed.
    """

    def push(self, block: Audio) -> Iterator[Audio]:
        """Take a ``(channels, samples)`` block and yield the ``(stems, channels, samples)`` that it settles."""

    def finish(self) -> Iterator[Audio]:
        """Yield the rest; the mixture has ended."""


class SampleBuffer:
    """A window on a stream of samples, addressed by absolute position.

    Appended blocks are kept, not copied, until `forget` lets them go. Positions before zero, after the end or
    already forgotten read as silence.

    Parameters
    ----------
    shape : tuple of int
        The axes before time, such as ``(channels,)`` or ``(stems, channels)``.

    Examples
    --------
    >>> buffer = SampleBuffer((1,))
    >>> buffer.append(np.ones((1, 3), np.float32))
    >>> buffer.read(1, 5).tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._blocks: deque[tuple[int, Audio]] = deque()
        self._taken = 0
        self.end = 0

    def append(self, block: Audio) -> None:
        """Add samples at the end. The block is kept as it is; the caller must not change it."""
        if block.shape[-1]:
            self._blocks.append((self.end, block))
            self.end += block.shape[-1]

    def read(self, start: int, stop: int) -> Audio:
        """Return a new array of the samples ``start:stop``, silence where there are none."""
        out: Audio = np.empty((*self._shape, stop - start), np.float32)
        filled = start
        for position, block in self._blocks:
            first, last = max(start, position), min(stop, position + block.shape[-1])
            if first < last:
                out[..., filled - start : first - start] = 0
                out[..., first - start : last - start] = block[..., first - position : last - position]
                filled = last
        out[..., filled - start :] = 0
        return out

    def forget(self, before: int) -> None:
        """Let go of whole blocks that lie before a position."""
        while self._blocks and self._blocks[0][0] + self._blocks[0][1].shape[-1] <= before:
            self._blocks.popleft()

    @property
    def waiting(self) -> int:
        """Samples that `take` has not yet returned."""
        return self.end - self._taken

    def take(self, samples: int) -> Audio:
        """Return the next samples in order and forget them: the buffer as a queue."""
        out = self.read(self._taken, self._taken + samples)
        self._taken += samples
        self.forget(self._taken)
        return out
