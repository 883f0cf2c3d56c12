"""The streams of a cascade: two in a row with their stems aligned, or the first alone in the cascade's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np

from isomix.audio.blocks import Audio, SampleBuffer, StemStream


@attrs.frozen
class Route:
    """Where the stems of two streams go.

    Parameters
    ----------
    fed : int
        Index, in the first stream's stems, of the one that the second hears.
    kept : sequence of (int, int)
        From an index in the first stream's stems to one in the outcome's.
    refined : sequence of (int, int)
        The same for the second stream.
    """

    fed: int
    kept: Sequence[tuple[int, int]]
    refined: Sequence[tuple[int, int]]

    @property
    def stems(self) -> int:
        """Stems of the outcome."""
        return len(self.kept) + len(self.refined)


class ChainedStream:
    """Feeds a stem of one stream to another as its mixture; a `StemStream`.

    What the first has settled waits until the second has settled the same samples: as much as the second looks ahead,
    which is its segment, however long the recording is.

    Parameters
    ----------
    first, second : StemStream
        The streams, both at their beginning.
    route : Route
        Which stem goes where.
    channels : int
        Channels of both.
    """

    def __init__(self, first: StemStream, second: StemStream, route: Route, channels: int) -> None:
        self._first, self._second, self._route, self._channels = first, second, route, channels
        self._kept = SampleBuffer((len(route.kept), channels))
        self._refined = SampleBuffer((len(route.refined), channels))

    def push(self, block: Audio) -> Iterator[Audio]:
        """Take a ``(channels, samples)`` block; yield the ``(stems, channels, samples)`` that both have settled."""
        for settled in self._first.push(block):
            yield from self._feed(settled)

    def finish(self) -> Iterator[Audio]:
        """End the first, then the second; yield the rest."""
        for settled in self._first.finish():
            yield from self._feed(settled)
        yield from self._settle(self._second.finish())

    def _feed(self, settled: Audio) -> Iterator[Audio]:
        self._kept.append(settled[[source for source, _ in self._route.kept]])
        # A copy, lest the second's buffer keep all stems of the block alive.
        yield from self._settle(self._second.push(settled[self._route.fed].copy()))

    def _settle(self, refined: Iterator[Audio]) -> Iterator[Audio]:
        for block in refined:
            self._refined.append(block)
            if samples := min(self._kept.waiting, self._refined.waiting):
                yield self._join(self._kept.take(samples), self._refined.take(samples))

    def _join(self, kept: Audio, refined: Audio) -> Audio:
        out = np.empty((self._route.stems, self._channels, kept.shape[-1]), np.float32)
        out[[target for _, target in self._route.kept]] = kept
        for source, target in self._route.refined:
            out[target] = refined[source]
        return out


class ReorderedStream:
    """Another stream with its stems in another order; a `StemStream`.

    Parameters
    ----------
    stream : StemStream
        The stream.
    order : sequence of int
        For each stem of the outcome, its index in the stream.
    """

    def __init__(self, stream: StemStream, order: Sequence[int]) -> None:
        self._stream, self._order = stream, list(order)

    def push(self, block: Audio) -> Iterator[Audio]:
        """Take a ``(channels, samples)`` block; yield the ``(stems, channels, samples)`` that are settled by it."""
        return (settled[self._order] for settled in self._stream.push(block))

    def finish(self) -> Iterator[Audio]:
        """Yield the rest."""
        return (settled[self._order] for settled in self._stream.finish())
