"""The pipe: a recording goes in block by block, settled blocks of stems come out.

source -> channels -> rate -> (normalise) -> engine's stream -> (undo) -> rate -> channels -> `StemBlock`. Nothing
here holds a whole recording: what waits is bounded by a few segments of the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing

import attrs
import numpy as np

from isomix.audio.blocks import Audio, SampleBuffer
from isomix.audio.decoders import AudioSource
from isomix.audio.prefetch import prefetch
from isomix.audio.resample import EngineRate, match_channels
from isomix.audio.statistics import TrackStatistics
from isomix.domain.progress import CancelToken
from isomix.domain.stems import StemPlan
from isomix.engine import SeparationEngine
from isomix.progress import Listener, ProgressMeter


@attrs.frozen(eq=False)
class StemBlock:
    """A stretch of the recording in which every stem is final.

    Parameters
    ----------
    start : int
        Its first sample, counted in the recording.
    sample_rate : int
        In Hz: the recording's own.
    stems : mapping of str to ndarray of shape (channels, samples), float32
        The stems that were asked for.
    mixture : ndarray of shape (channels, samples), float32
        The same stretch of the recording.
    residual : ndarray of shape (channels, samples), float32, or None
        The mixture minus all stems of the model; None where not all were computed.
    """

    start: int
    sample_rate: int
    stems: Mapping[str, Audio]
    mixture: Audio
    residual: Audio | None

    @property
    def samples(self) -> int:
        """Its length."""
        return int(self.mixture.shape[1])


class Pipe:
    """One recording on its way through one engine.

    Parameters
    ----------
    source : AudioSource
        The recording.
    engine : SeparationEngine
        Opened for ``plan.computed``.
    plan : StemPlan
        The stems that come out.
    listener : callable
        Hears the progress.
    cancel : CancelToken
        Looked at before every segment and every block.

    Raises
    ------
    UnsupportedFormat
        If the recording has channels that cannot be matched.
    """

    def __init__(
        self,
        source: AudioSource,
        engine: SeparationEngine,
        plan: StemPlan,
        listener: Listener,
        cancel: CancelToken,
    ) -> None:
        self.source, self.cancel = source, cancel
        self._engine, self._plan = engine, plan
        self._match = match_channels(source.name, source.channels, engine.spec.channels)
        self.channels = source.channels if source.channels <= 2 else engine.spec.channels
        self.position = 0
        self._energy = self._residual_energy = 0.0
        expected = source.expected_samples
        self.meter = ProgressMeter(listener, expected / source.sample_rate if expected else None)

    @property
    def duration(self) -> float:
        """Seconds that have come out so far."""
        return self.position / self.source.sample_rate

    @property
    def null_error_db(self) -> float | None:
        """Energy of the residual against that of the mixture, in dB; None where not all stems are computed."""
        if not self._plan.has_all:
            return None
        if not self._residual_energy:
            return -np.inf
        return 10 * float(np.log10(self._residual_energy / max(self._energy, np.finfo(float).tiny)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a careful reader of the result should know."""
        notes = []
        expected = self.source.expected_samples
        if expected and self.position < 0.99 * expected:
            notes.append(f"the header promises {expected} samples, {self.position} could be read")
        if self.source.channels > 2:
            notes.append(f"{self.source.channels} channels were mixed down to {self.channels} (ITU-R BS.775)")
        return tuple(notes)

    def blocks(self) -> Iterator[StemBlock]:
        """Yield settled blocks until the recording is through; once."""
        self.cancel.check()
        statistics = self._analyse()
        rate, waiting = self._make_rate(), SampleBuffer((self.channels,))
        stream = self._engine.open_stream(self.cancel.check)

        def settle(settled: Iterator[Audio]) -> Iterator[StemBlock]:
            for stems in settled:
                yield from self._emit(rate.restore(statistics.restore(stems)), waiting)

        for mixture in self._mixture_blocks():
            waiting.append(mixture)
            yield from settle(stream.push(statistics.normalise(rate.push(mixture))))
        yield from settle(stream.push(statistics.normalise(rate.finish())))
        yield from settle(stream.finish())
        for stems in rate.restore_rest():
            yield from self._emit(stems, waiting)

    def _mixture_blocks(self) -> Iterator[Audio]:
        with closing(prefetch(self.source.blocks())) as blocks:
            for block in blocks:
                self.cancel.check()
                yield self._match(block)

    def _make_rate(self) -> EngineRate:
        return EngineRate(
            len(self._engine.stems),
            channels=self.channels,
            sample_rate=self.source.sample_rate,
            engine_channels=self._engine.spec.channels,
            engine_sample_rate=self._engine.spec.sample_rate,
        )

    def _analyse(self) -> TrackStatistics:
        """Read the recording ahead, where the engine wants it normalised as a whole."""
        statistics = TrackStatistics()
        if self._engine.spec.normalization == "track":
            rate, samples = self._make_rate(), 0
            for mixture in self._mixture_blocks():
                statistics.add(rate.push(mixture))
                samples += mixture.shape[1]
                self.meter.report("analyse", samples / self.source.sample_rate)
            statistics.add(rate.finish())
        return statistics

    def _emit(self, stems: Audio, waiting: SampleBuffer) -> Iterator[StemBlock]:
        samples = stems.shape[-1]
        if not samples:
            return
        mixture = waiting.take(samples)
        residual = mixture - stems.sum(axis=0) if self._plan.has_all else None
        if residual is not None:
            self._energy += _energy(mixture)
            self._residual_energy += _energy(residual)
        named = self._name(dict(zip(self._engine.stems, stems, strict=True)), mixture)
        start, self.position = self.position, self.position + samples
        yield StemBlock(start, self.source.sample_rate, named, mixture, residual)
        self.meter.report("separate", self.duration)

    def _name(self, computed: Mapping[str, Audio], mixture: Audio) -> dict[str, Audio]:
        subtracted = {
            name: mixture - np.sum([computed[part] for part in parts], axis=0)
            for name, parts in self._plan.subtracted.items()
        }
        return {name: subtracted[name] if name in subtracted else computed[name] for name in self._plan.names}


def _energy(audio: Audio) -> float:
    return float(np.vdot(audio, audio))
