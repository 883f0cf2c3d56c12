"""Recordings read side by side, block by block, so that their length costs no memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager

from isomix.audio.blocks import Audio, SampleBuffer
from isomix.audio.decoders import AudioSource
from isomix.audio.source import open_source
from isomix.errors import InvalidOptions
from isomix.evaluation.recordings import Recording, to_source

TOLERANCE_SECONDS = 0.1
"""Recordings that belong together may differ so much in length: lossy codecs pad the last of their packets."""

_FRAMES_PER_BLOCK = 10


def frame_samples(sample_rate: int) -> int:
    """Return the samples of a tenth of a second; all blocks but the last hold a whole number of such frames."""
    return max(sample_rate // 10, 1)


@contextmanager
def open_alike(recordings: Mapping[str, Recording]) -> Generator[dict[str, AudioSource], None, None]:
    """Open recordings that are to be compared, and close them in the end.

    Parameters
    ----------
    recordings : mapping of str to recording
        By the name that messages call them.

    Yields
    ------
    dict of str to AudioSource

    Raises
    ------
    InvalidOptions
        If they differ in sample rate or channels.
    """
    with ExitStack() as resources:
        sources = {
            name: resources.enter_context(open_source(to_source(recording), name=name))
            for name, recording in recordings.items()
        }
        opened = list(sources.values())
        for source in opened[1:]:
            _check_alike(opened[0], source)
        yield sources


def _check_alike(first: AudioSource, other: AudioSource) -> None:
    for option, unit in (("sample_rate", "Hz"), ("channels", "channels")):
        wanted, value = getattr(first, option), getattr(other, option)
        if wanted != value:
            raise InvalidOptions(
                f"{other.name} has {value} {unit}, {first.name} has {wanted}",
                hint="compare recordings of one sample rate and channel count; converting changes the figures",
                option=option,
                value=value,
            )


def read_aligned(sources: Sequence[AudioSource]) -> Iterator[list[Audio]]:
    """Yield the next block of every recording, all of one length; what a shorter one lacks is silence.

    Parameters
    ----------
    sources : sequence of AudioSource
        Of one sample rate and channel count.

    Yields
    ------
    list of ndarray of shape (channels, samples), float32
        In the order of the sources; a second of each, the last block less.

    Raises
    ------
    InvalidOptions
        If one is longer than another by more than `TOLERANCE_SECONDS`.
    """
    with ExitStack() as resources:
        readers = [_Reader(source, resources) for source in sources]
        wanted = frame_samples(sources[0].sample_rate) * _FRAMES_PER_BLOCK
        while samples := min(wanted, max(reader.fill(wanted) for reader in readers)):
            _check_lengths(readers)
            yield [reader.buffer.take(samples) for reader in readers]


class _Reader:
    """Gives a recording in blocks of any size."""

    def __init__(self, source: AudioSource, resources: ExitStack) -> None:
        self.source = source
        self.ended = False
        self.buffer = SampleBuffer((source.channels,))
        self._blocks = resources.enter_context(closing(source.blocks()))

    def fill(self, samples: int) -> int:
        """Decode until so many samples wait, or all that are left; return how many wait."""
        while not self.ended and self.buffer.waiting < samples:
            block = next(self._blocks, None)
            if block is None:
                self.ended = True
            else:
                self.buffer.append(block)
        return max(self.buffer.waiting, 0)


def _check_lengths(readers: Sequence[_Reader]) -> None:
    longest = max(readers, key=lambda reader: reader.buffer.end)
    for reader in readers:
        sample_rate, end = reader.source.sample_rate, reader.buffer.end
        if reader.ended and longest.buffer.end - end > TOLERANCE_SECONDS * sample_rate:
            raise InvalidOptions(
                f"{reader.source.name} ends after {end / sample_rate:.2f} s, {longest.source.name} goes on",
                hint=f"recordings that are compared begin together and end within {TOLERANCE_SECONDS} s",
                option="duration",
                value=end / sample_rate,
            )
