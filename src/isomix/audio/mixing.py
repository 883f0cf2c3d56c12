"""Stems back into one recording: a mix document rendered block by block, with the same bits however blocks are cut."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from isomix.audio.blocks import Audio, SampleBuffer
from isomix.audio.decoders import BLOCK_SAMPLES
from isomix.domain.mix import Mix, Track
from isomix.errors import IntegrityError, InvalidOptions, UnknownStem

Times: TypeAlias = NDArray[np.float64]
"""Seconds since a mix's start, of each sample."""


def linear_gains(
    names: Collection[str],
    gains_db: Mapping[str, float] | None = None,
    *,
    mute: Collection[str] = (),
    solo: Collection[str] = (),
) -> dict[str, float]:
    """Return the factor of every stem that is heard.

    Parameters
    ----------
    names : collection of str
        The stems there are.
    gains_db : mapping of str to float, optional
        Gain in dB; 0 for stems that are not named.
    mute : collection of str
        Stems that are silent, whatever else is said.
    solo : collection of str
        If any, only these are heard.

    Returns
    -------
    dict of str to float

    Raises
    ------
    UnknownStem
        If a name is not one of the stems.
    InvalidOptions
        If a gain is outside the range of a `Track`.

    Examples
    --------
    >>> linear_gains(["vocals", "drums"], {"vocals": -20}, mute=["drums"])
    {'vocals': 0.1}
    """
    gains = gains_db or {}
    for option, value in (("mute", mute), ("solo", solo)):
        if isinstance(value, str):
            raise InvalidOptions(f"{option} must be a list of names, not {value!r}", option=option, value=value)
    for gain in gains.values():
        Track(gain_db=gain)  # which knows its range
    for name in (*gains, *mute, *solo):
        if name not in names:
            raise _unknown(name, names)
    heard = [name for name in names if name not in mute and (not solo or name in solo)]
    return {name: 10.0 ** (gains.get(name, 0.0) / 20) for name in heard}


def count_channels(mix: Mix, names: Collection[str], channels: int) -> int:
    """Return how many channels a mix has: those of its stems, or two where a mono stem is panned.

    Parameters
    ----------
    mix : Mix
        The mix.
    names : collection of str
        All stems there are.
    channels : int
        Of the stems.

    Raises
    ------
    UnknownStem
        If the mix names a stem that is not there.

    Examples
    --------
    >>> count_channels(Mix(stems={"drums": Track(pan=-0.5)}), ["vocals", "drums"], 1)
    2
    """
    return 2 if any(track.pan for track in mix.heard(names).values()) else channels


def find_span(mix: Mix, *, sample_rate: int, samples: int) -> tuple[int, int]:
    """Return the first sample of a mix in the recording and the one after its last.

    Parameters
    ----------
    mix : Mix
        The mix.
    sample_rate, samples : int
        Of the recording; the sample rate in Hz.

    Raises
    ------
    InvalidOptions
        If no sample lies between.

    Examples
    --------
    >>> find_span(Mix(start_seconds=0.5, end_seconds=9), sample_rate=1000, samples=2000)
    (500, 2000)
    """
    end_seconds = math.inf if mix.end_seconds is None else mix.end_seconds
    start, stop = (round(min(seconds * sample_rate, samples)) for seconds in (mix.start_seconds, end_seconds))
    if start >= stop:
        raise InvalidOptions(
            f"a mix that starts at {mix.start_seconds:g} s holds no sample of {samples / sample_rate:g} s",
            hint="start before the recording's end, and end after the start",
            option="start_seconds",
            value=mix.start_seconds,
        )
    return start, stop


def render_mix(
    mix: Mix,
    stems: Mapping[str, Iterable[Audio]],
    *,
    sample_rate: int,
    channels: int,
    samples: int,
    base_gains_db: Mapping[str, float] | None = None,
) -> Iterator[Audio]:
    """Render a mix in constant memory.

    Parameters
    ----------
    mix : Mix
        The mix.
    stems : mapping of str to iterable of ndarray of shape (channels, samples), float32
        Blocks of every stem, or of those that the mix lets be heard; summed in this order, read no further than the
        mix ends, and not at all where they are not heard. No two need blocks of the same lengths.
    sample_rate, channels, samples : int
        Of the stems; the sample rate in Hz.
    base_gains_db : mapping of str to float, optional
        Gain that was applied to a stem when it was stored, which is undone.

    Returns
    -------
    iterator of ndarray of shape (`count_channels`, samples), float32
        In all as long as `find_span` says. Values beyond full scale are kept: nothing clips here.

    Raises
    ------
    InvalidOptions
        If the mix holds no sample.
    UnknownStem
        If the mix lets a stem be heard that is not there.
    IntegrityError
        While it is read, if a stem has other channels than ``channels`` or ends before the mix does.

    Notes
    -----
    Fades are linear in amplitude from the mix's start and to its end; where both meet, they multiply. Panning is the
    law of Web Audio's `StereoPannerNode
    <https://webaudio.github.io/web-audio-api/#stereopanner-algorithm>`_ for stereo; a mono stem counts as stereo whose
    channels are alike.

    Examples
    --------
    >>> stems = {"vocals": [np.ones((1, 3), np.float32)], "drums": [np.ones((1, 3), np.float32)]}
    >>> mix = Mix(stems={"vocals": Track(fade_out_seconds=2), "drums": Track(mute=True)})
    >>> [block.tolist() for block in render_mix(mix, stems, sample_rate=1, channels=1, samples=3)]
    [[[1.0, 1.0, 0.5]]]
    """
    start, stop = find_span(mix, sample_rate=sample_rate, samples=samples)
    names = tuple(dict.fromkeys((*stems, *mix.stems)))
    voices = []
    for name, track in mix.heard(names).items():
        if name not in stems:
            raise _unknown(name, stems)
        gain_db = mix.gain_db + track.gain_db - (base_gains_db or {}).get(name, 0.0)
        voices.append(_Voice(name, stems[name], channels, track, gain_db))
    return _sum(voices, start, stop, sample_rate, count_channels(mix, names, channels))


def _unknown(name: str, names: Collection[str]) -> UnknownStem:
    return UnknownStem(f"there is no stem {name!r}; there are " + ", ".join(names), stem=name, known=tuple(names))


def _sum(voices: list[_Voice], start: int, stop: int, sample_rate: int, channels: int) -> Iterator[Audio]:
    for voice in voices:
        voice.skip(start)
    for position in range(0, stop - start, BLOCK_SAMPLES):
        seconds = np.arange(position, min(position + BLOCK_SAMPLES, stop - start)) / sample_rate
        block = np.zeros((channels, len(seconds)), np.float32)
        for voice in voices:
            block += voice.take(seconds, (stop - start) / sample_rate)
        yield block


class _Voice:
    """One stem on its way into the sum."""

    def __init__(self, name: str, blocks: Iterable[Audio], channels: int, track: Track, gain_db: float) -> None:
        self._name, self._blocks, self._channels = name, iter(blocks), channels
        self._track, self._gain = track, np.float32(10.0 ** (gain_db / 20))
        self._buffer = SampleBuffer((channels,))

    def skip(self, samples: int) -> None:
        """Read past what comes before the mix."""
        while samples:
            samples -= self._read(min(samples, BLOCK_SAMPLES)).shape[1]

    def take(self, seconds: Times, end_seconds: float) -> Audio:
        """Return what is heard at these times, which count from the mix's start to its end."""
        gains = self._gain * _fade(self._track, seconds, end_seconds)
        return _pan(self._read(len(seconds)) * gains, self._track.pan)

    def _read(self, samples: int) -> Audio:
        while self._buffer.waiting < samples:
            block = next(self._blocks, None)
            if block is None or block.shape[0] != self._channels:
                what = "ends" if block is None else f"has {block.shape[0]} channels and not {self._channels}"
                raise IntegrityError(
                    f"the stem {self._name} {what} at sample {self._buffer.end}",
                    hint="separate the recording again",
                    path=self._name,
                )
            self._buffer.append(block)
        return self._buffer.take(samples)


def _fade(track: Track, seconds: Times, end_seconds: float) -> Audio:
    """Return the factors of both ramps; from float64 times, so that a sample's factor depends on its place alone."""
    factors = np.ones(len(seconds))
    if track.fade_in_seconds:
        factors *= np.minimum(seconds, track.fade_in_seconds) / track.fade_in_seconds
    if track.fade_out_seconds:
        factors *= np.minimum(end_seconds - seconds, track.fade_out_seconds) / track.fade_out_seconds
    return factors.astype(np.float32)


def _pan(audio: Audio, pan: float) -> Audio:
    if not pan:
        return audio
    left, right = audio if len(audio) == 2 else (audio[0], audio[0])
    angle = (pan + 1 if pan <= 0 else pan) * math.pi / 2
    near, far = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    if pan <= 0:
        return np.stack([left + right * near, right * far])
    return np.stack([left * near, right + left * far])
