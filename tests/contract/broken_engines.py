"""A plugin whose engines each break one rule of the contract, beside one that keeps them all.

``MEANT_FOR`` says which check has to find which engine.
"""

from __future__ import annotations

import threading

import numpy as np

import isomix
from isomix.audio.overlap import OverlapAdd

CUT = isomix.Segmentation(length=2048, hop=1536)
RATE = 8000
SHARES = {"voice": 0.5, "band": 0.3, "room": 0.2}


class Sound(isomix.SeparationEngine):
    """Keeps every rule: fixed shares of the mixture."""

    def _separate(self, mixture):
        shares = np.array([SHARES[stem] for stem in self.stems], np.float32)
        return mixture[:, None] * shares[:, None, None]


class NoLicence(Sound):
    """Does not say under which licence it comes."""


class Renames(Sound):
    def __init__(self, spec, options):
        super().__init__(spec, options)
        self.stems = self.stems[::-1]


class WrongLength(Sound):
    def _separate(self, mixture):
        return super()._separate(mixture)[..., :-1]


class WrongType(Sound):
    def _separate(self, mixture):
        return super()._separate(mixture).astype(np.float64)


class NotFinite(Sound):
    def _separate(self, mixture):
        stems = super()._separate(mixture)
        stems[..., 0] = np.nan
        return stems


class CutShort(Sound):
    """Loses the last sample, where there are many."""

    def open_stream(self, before_segment=lambda: None):
        stream = super().open_stream(before_segment)

        class Cut:
            push = staticmethod(stream.push)

            def finish(self):
                rest = [*stream.finish()]
                if rest and rest[-1].shape[-1] > 100:
                    rest[-1] = rest[-1][..., :-1]
                return rest

        return Cut()


class Late(Sound):
    def _separate(self, mixture):
        return np.roll(super()._separate(mixture), 1, axis=-1)


class Mutates(Sound):
    def _separate(self, mixture):
        stems = super()._separate(mixture)
        mine = mixture.view()
        mine.flags.writeable = True  # as torch.from_numpy does without asking
        mine[..., ::2] = 0
        return stems


class MutatesOpenly(Sound):
    def _separate(self, mixture):
        mixture *= np.float32(0.5)
        return super()._separate(mixture)


class KeepsResult(Sound):
    def _separate(self, mixture):
        stems = super()._separate(mixture)
        if getattr(self, "_result", None) is None or self._result.shape != stems.shape:
            self._result = np.empty_like(stems)
        self._result[:] = stems
        return self._result


class KeepsAnswers(Sound):
    """Remembers what it was asked last, and gives the same array again."""

    def _separate(self, mixture):
        if getattr(self, "_asked", None) != mixture.tobytes():
            self._asked, self._answer = mixture.tobytes(), super()._separate(mixture)
        return self._answer


class NotFiniteWhenLoud(Sound):
    def _separate(self, mixture):
        with np.errstate(invalid="ignore"):
            return super()._separate(mixture * np.sqrt(1.5 - np.abs(mixture)) / np.sqrt(1.5 - np.abs(mixture)))


class Random(Sound):
    def _separate(self, mixture):
        stems = super()._separate(mixture)
        return stems * np.random.default_rng().normal(1, 1e-3, stems.shape).astype(np.float32)


class SeededByLife(Sound):
    """The same each time, but not from one opened engine to the next."""

    def __init__(self, spec, options):
        super().__init__(spec, options)
        self._gain = np.float32(1 + np.random.default_rng().uniform(0.01, 0.02))

    def _separate(self, mixture):
        return super()._separate(mixture) * self._gain


class OtherOrder(Sound):
    def _separate(self, mixture):
        return super()._separate(mixture)[:, ::-1]


class IgnoresWanted(Sound):
    def _separate(self, mixture):
        shares = np.array(list(SHARES.values()), np.float32)
        return mixture[:, None] * shares[:, None, None]


class FirstComesFirst(Sound):
    """Where fewer stems are wanted, returns as many of the first ones."""

    def _separate(self, mixture):
        shares = np.array(list(SHARES.values())[: len(self.stems)], np.float32)
        return mixture[:, None] * shares[:, None, None]


class BatchMean(Sound):
    """Normalises by the loudest segment of the batch."""

    def _separate(self, mixture):
        return super()._separate(mixture * (np.float32(0.1) / np.abs(mixture).max(initial=1e-30)))


class Leaks(Sound):
    def _separate(self, mixture):
        self._seen = [*getattr(self, "_seen", []), mixture.copy()]
        return super()._separate(mixture)


class SharedStream(Sound):
    """Streams share a buffer: fine as long as there is one at a time."""

    def open_stream(self, before_segment=lambda: None):
        engine, stream = self, super().open_stream(before_segment)
        engine._gain = None

        class Levelled:
            def push(self, block):
                if engine._gain is None and block.size:
                    engine._gain = 1 + np.abs(block[0, 0])
                for stems in stream.push(block):
                    yield stems * engine._gain

            def finish(self):
                for stems in stream.finish():
                    yield stems * engine._gain

        return Levelled()


class PerBlock(Sound):
    """Looks at each block as it comes, as if it were a segment."""

    def open_stream(self, before_segment=lambda: None):
        stream = super().open_stream(before_segment)

        class Levelled:
            def push(self, block):
                peak = np.abs(block).max(initial=1e-6)
                return stream.push(block / np.float32(1 + peak))

            finish = staticmethod(stream.finish)

        return Levelled()


class CrashesOnSilence(Sound):
    def _separate(self, mixture):
        if not mixture.any():
            raise ZeroDivisionError("the loudness is zero")
        return super()._separate(mixture)


class Hums(Sound):
    def _separate(self, mixture):
        return super()._separate(mixture) + np.float32(0.01)


class Deaf(Sound):
    """Asks once, when the recording begins."""

    def open_stream(self, before_segment=lambda: None):
        before_segment()
        return super().open_stream()


class Swallows(Sound):
    """Hears a cancel, and goes on."""

    def open_stream(self, before_segment=lambda: None):
        def run(batch):
            try:
                before_segment()
            except isomix.IsomixError:
                return np.zeros((len(batch), len(self.stems), *batch.shape[1:]), np.float32)
            return self.separate(batch)

        return OverlapAdd(run, self.segmentation, channels=self.spec.channels, stems=len(self.stems))


class HalfGain(Sound):
    def _separate(self, mixture):
        return super()._separate(mixture) * np.float32(0.5)


class NoEmpty(Sound):
    """Cannot join nothing."""

    def open_stream(self, before_segment=lambda: None):
        stream = super().open_stream(before_segment)
        pushed = []

        class Joining:
            def push(self, block):
                pushed.append(block.shape[-1])
                return stream.push(block)

            def finish(self):
                if sum(pushed) == 0:
                    raise ValueError("need at least one array to concatenate")
                return stream.finish()

        return Joining()


class NoMono(Sound):
    """Divides by how much the channels differ."""

    def _separate(self, mixture):
        if mixture.any() and not (mixture[:, 0] - mixture[:, 1]).any():
            raise FloatingPointError("the side is silent")
        return super()._separate(mixture)


class ClosesOnce(Sound):
    def close(self):
        del self._lock


class ClosesAll(Sound):
    """Engines share a network, and whichever is closed first takes it from the others."""

    network = threading.Event()

    def __init__(self, spec, options):
        super().__init__(spec, options)
        ClosesAll.network.set()

    def _separate(self, mixture):
        return super()._separate(mixture) * np.float32(ClosesAll.network.is_set())

    def close(self):
        ClosesAll.network.clear()


MEANT_FOR = {
    Sound: None,
    NoLicence: "spec",
    Renames: "opens",
    WrongLength: "segment",
    WrongType: "segment",
    NotFinite: "segment",
    CutShort: "length",
    Late: "alignment",
    Mutates: "untouched",
    MutatesOpenly: "untouched",
    KeepsResult: "untouched",
    KeepsAnswers: "untouched",
    NotFiniteWhenLoud: "levels",
    Random: "determinism",
    SeededByLife: "determinism",
    OtherOrder: "stems",
    IgnoresWanted: "stems",
    FirstComesFirst: "stems",
    BatchMean: "batch",
    Leaks: "memory",
    SharedStream: "streams",
    PerBlock: "blocks",
    CrashesOnSilence: "silence",
    Hums: "silence",
    Deaf: "cancel",
    Swallows: "cancel",
    HalfGain: "sum",
    NoEmpty: "tiny",
    NoMono: "layouts",
    ClosesOnce: "reopen",
    ClosesAll: "reopen",
}


def to_spec(engine):
    """Describe an engine of this module."""
    return isomix.EngineSpec(
        name=f"broken:{engine.__name__}",
        stems=tuple(SHARES),
        factory=f"broken_engines:{engine.__name__}",
        segmentation=CUT,
        sample_rate=RATE,
        licence="unknown" if engine is NoLicence else "MIT",
    )


@isomix.hookimpl
def isomix_engines():
    return [to_spec(engine) for engine in MEANT_FOR]
