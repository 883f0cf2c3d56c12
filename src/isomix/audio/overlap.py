"""Cut a stream into segments and join what comes back: the plan, the window, the bounded overlap-add.

Memory is bounded by a few segments however long the stream is. Nothing here knows an engine: work is a callable from
``(batch, channels, samples)`` to ``(batch, stems, channels, samples)``.

Two ways to join overlapping segments:

``"triangular"``
    The weighted mean of all segments that cover a sample, weights falling linearly from the middle of a segment
    (demucs 4.1, ``apply.py``). It is kept as a running mean, ``mean += (x - mean) * w / sum(w)`` (West 1979,
    doi:10.1145/359146.359153), so that equal segments give back their value bit for bit in float32, which
    accumulating ``w * x`` and dividing at the end does not.
``"sum"``
    A plain sum, for engines whose segments already carry a synthesis window (Spleeter's inverse STFT).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from isomix.audio.blocks import Audio, SampleBuffer, StemStream
from isomix.errors import InvalidOptions

Run = Callable[[Audio], Audio]


def _positive(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 1:
        name = attribute.name
        raise InvalidOptions(f"{name} must be at least 1 sample, not {value}", option=name, value=value)


def _hop(cut: Segmentation, attribute: attrs.Attribute[Any], value: int) -> None:
    _positive(cut, attribute, value)
    if value > cut.length:
        raise InvalidOptions(f"hop {value} leaves gaps between segments of {cut.length}", option="hop", value=value)


@attrs.frozen(kw_only=True)
class Segmentation:
    """How an engine wants a recording cut.

    Parameters
    ----------
    length : int
        Samples of a segment.
    hop : int
        Samples from one segment's start to the next.
    window : {"triangular", "sum"}
        How overlapping segments are joined.
    lead : int
        Samples of silence before the recording at which the first segment starts.
    align : {"centre", "start"}
        Where a last, shorter piece lies in its segment: in the middle, with the audio before it as context (as Demucs
        does), or at the start, with silence behind it.
    """

    length: int = attrs.field(validator=_positive)
    hop: int = attrs.field(validator=_hop)
    window: Literal["triangular", "sum"] = "triangular"
    lead: int = 0
    align: Literal["centre", "start"] = "centre"

    def with_overlap(self, overlap: float) -> Segmentation:
        """Return the same cut with another overlap.

        Parameters
        ----------
        overlap : float
            Fraction of a segment, ``0 <= overlap < 1``.

        Raises
        ------
        InvalidOptions
            If the engine fixes its overlap (``window="sum"``).
        """
        if self.window == "sum":
            raise InvalidOptions("this model's overlap is fixed by its STFT", option="overlap", value=overlap)
        return attrs.evolve(self, hop=max(int((1 - overlap) * self.length), 1))


@attrs.frozen
class Piece:
    """One segment's place: it reads ``read_start:read_stop`` and answers for ``start:stop`` (absolute samples)."""

    start: int
    stop: int
    read_start: int
    read_stop: int


def _fixed(segmentation: Segmentation) -> Callable[[int], int]:
    return lambda _: segmentation.length


class OverlapAdd:
    """Runs a callable over the segments of a stream and joins the results; a `StemStream`.

    Parameters
    ----------
    run : callable
        ``(batch, channels, samples)`` to ``(batch, stems, channels, samples)``: new arrays, which the stream changes.
    segmentation : Segmentation
        The cut.
    channels, stems : int
        Counts in and out.
    batch_size : int
        Segments per call where that many are ready.
    shift : int
        Extra samples of silence before the recording: the grid of segments moves by as much.
    input_length : callable, optional
        From a piece's length to the length the network must be given; the segment length if None.

    Examples
    --------
    >>> cut = Segmentation(length=4, hop=3)
    >>> stream = OverlapAdd(lambda x: x[:, None].copy(), cut, channels=1, stems=1)
    >>> blocks = [*stream.push(np.ones((1, 10), np.float32)), *stream.finish()]
    >>> sum(block.shape[-1] for block in blocks)
    10
    """

    def __init__(
        self,
        run: Run,
        segmentation: Segmentation,
        *,
        channels: int,
        stems: int,
        batch_size: int = 1,
        shift: int = 0,
        input_length: Callable[[int], int] | None = None,
    ) -> None:
        self._run = run
        self._cut = segmentation
        self._batch_size = batch_size
        self._input_length = input_length or _fixed(segmentation)
        self._input = SampleBuffer((channels,))
        self._next_start = -segmentation.lead - shift
        self._finished = False
        self._join = _Join(segmentation, (stems, channels), self._next_start)

    def push(self, block: Audio) -> Iterator[Audio]:
        """Take a ``(channels, samples)`` block; yield the ``(stems, channels, samples)`` that are settled by it."""
        self._input.append(block)
        yield from self._work()

    def finish(self) -> Iterator[Audio]:
        """Process the tail and yield everything that is left."""
        self._finished = True
        yield from self._work()

    def _work(self) -> Iterator[Audio]:
        while batch := self._ready():
            segments = [self._input.read(piece.read_start, piece.read_stop) for piece in batch]
            outputs = self._run(np.stack(segments) if len(segments) > 1 else segments[0][None])
            for piece, output in zip(batch, outputs, strict=True):
                yield from self._settle(piece, output)
            self._input.forget(self._next_start - self._input_length(self._cut.length))

    def _settle(self, piece: Piece, output: Audio) -> Iterator[Audio]:
        offset = piece.start - piece.read_start
        self._join.add(np.require(output[..., offset : offset + piece.stop - piece.start], requirements="W"))
        block = self._join.settle(min(piece.start + self._cut.hop, self._input.end))
        if block.shape[-1]:
            yield block

    def _ready(self) -> list[Piece]:
        """Return the next pieces whose input is complete, all of one length, at most a batch of them."""
        batch: list[Piece] = []
        while len(batch) < self._batch_size and (piece := self._next_piece()) is not None:
            if batch and piece.read_stop - piece.read_start != batch[0].read_stop - batch[0].read_start:
                break
            batch.append(piece)
            self._next_start += self._cut.hop
        if not self._finished and 0 < len(batch) < self._batch_size:
            # A batch that is not full waits for more, as long as there may be more.
            self._next_start -= self._cut.hop * len(batch)
            return []
        return batch

    def _next_piece(self) -> Piece | None:
        start, end = self._next_start, self._input.end
        if self._finished and start >= end:
            return None
        stop = min(start + self._cut.length, end) if self._finished else start + self._cut.length
        needed = self._input_length(stop - start)
        read_start = start - (needed - (stop - start)) // 2 if self._cut.align == "centre" else start
        if not self._finished and end < read_start + needed:
            return None
        return Piece(start, stop, read_start, read_start + needed)


class _Join:
    """Joins overlapping segments and gives out what no later segment can change.

    Segments are its own: the overlap is worked out in place, and what comes out are views. Only what is small against
    the segment that it would keep alive is copied.
    """

    def __init__(self, cut: Segmentation, shape: tuple[int, int], start: int) -> None:
        self._is_mean = cut.window == "triangular"
        self._window = triangular_window(cut.length)
        self._waiting: Audio = np.zeros((*shape, 0), np.float32)
        self._weight: NDArray[np.float32] = np.zeros(0, np.float32)
        self._start = start

    def add(self, segment: Audio) -> None:
        """Join the segment that starts where the settled samples end and reaches at least as far as those waiting."""
        old = self._waiting.shape[-1]
        overlap: Audio = segment[..., :old]
        if self._is_mean:
            weight = self._window[: segment.shape[-1]].copy()
            weight[:old] += self._weight
            overlap -= self._waiting
            overlap *= self._window[:old] / weight[:old]
            self._weight = weight
        overlap += self._waiting
        self._waiting = segment

    def settle(self, stop: int) -> Audio:
        """Return the samples up to an absolute position, without any before zero, and move on."""
        count = max(stop - self._start, 0)
        out = self._waiting[..., min(max(-self._start, 0), count) : count]
        self._waiting, self._weight = self._waiting[..., count:], self._weight[count:]
        self._start += count
        return out.copy() if 2 * count <= self._window.size else out


def triangular_window(length: int) -> NDArray[np.float32]:
    """Return a triangle that peaks at 1 in the middle and is nowhere zero.

    Parameters
    ----------
    length : int
        Samples.

    Returns
    -------
    ndarray of shape (length,), float32

    Examples
    --------
    >>> triangular_window(4).tolist()
    [0.5, 1.0, 1.0, 0.5]
    """
    half = length // 2
    ramp = np.concatenate([np.arange(1, half + 1), np.arange(length - half, 0, -1)])
    return np.asarray(ramp / ramp.max(initial=1), np.float32)


@attrs.frozen
class Member:
    """One stream of a `Blend` and its weight in each stem of the outcome.

    Parameters
    ----------
    stream : StemStream
        Gives the stems named by ``stems``.
    weights : ndarray of shape (stems of the outcome,)
        Zero where the member says nothing of a stem.
    """

    stream: StemStream
    weights: Sequence[float]


class Blend:
    """The weighted mean of several streams over the same mixture, aligned sample by sample; a `StemStream`.

    The members may settle at different times; only what they differ by is held.
    """

    def __init__(self, members: Sequence[Member], shape: tuple[int, int]) -> None:
        self._members = members
        self._queues = [SampleBuffer(shape) for _ in members]
        totals = np.sum([member.weights for member in members], axis=0)
        self._shares = [np.asarray(np.divide(member.weights, totals), np.float32)[:, None, None] for member in members]

    def push(self, block: Audio) -> Iterator[Audio]:
        """Give the block to every member; yield what all of them have settled."""
        for member, queue in zip(self._members, self._queues, strict=True):
            for settled in member.stream.push(block):
                queue.append(settled)
        yield from self._settled()

    def finish(self) -> Iterator[Audio]:
        """End every member; yield the rest."""
        for member, queue in zip(self._members, self._queues, strict=True):
            for settled in member.stream.finish():
                queue.append(settled)
        yield from self._settled()

    def _settled(self) -> Iterator[Audio]:
        samples = min(queue.waiting for queue in self._queues)
        if samples:
            parts = zip(self._queues, self._shares, strict=True)
            total = sum(queue.take(samples) * share for queue, share in parts)
            yield np.asarray(total, np.float32)
