"""The pipe: block by block, never the whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

import isomix
from isomix.audio.blocks import Audio
from isomix.audio.decoders import BLOCK_SAMPLES, ArraySource
from isomix.audio.source import open_source
from isomix.domain.options import EngineOptions
from isomix.domain.progress import CancelToken, Progress
from isomix.domain.stems import StemPlan
from isomix.engine import EngineSpec
from isomix.errors import SeparationCancelled, SeparationFailed
from isomix.pipe import Pipe
from isomix.plugins import open_engine
from isomix.progress import Bar, ProgressMeter, listening
from isomix.testing.engines import pass_through_spec


class CountingSource(ArraySource):
    """An array that counts how much of it was read."""

    read_samples = 0

    def _blocks(self) -> Iterator[Audio]:
        for block in super()._blocks():
            self.read_samples += block.shape[1]
            yield block


class Noise(ArraySource):
    """Noise of any length that is made while it is read, so that only the pipe needs memory."""

    def __init__(self, samples: int) -> None:
        super().__init__(np.broadcast_to(np.float32(0), (2, samples)), 44100)

    def _blocks(self) -> Iterator[Audio]:
        draw = np.random.default_rng(0)
        for block in super()._blocks():
            yield block + draw.standard_normal(block.shape, np.float32)


def noise(samples: int, channels: int = 2) -> Audio:
    return np.random.default_rng(0).uniform(-1, 1, (channels, samples)).astype(np.float32)


def open_pipe(source, spec: EngineSpec | None = None, listener=lambda event: None, stems=None, cancel=None) -> Pipe:
    spec = spec or pass_through_spec()
    plan = StemPlan.of(spec.name, spec.stems, stems)
    engine = open_engine(spec, EngineOptions(stems=plan.computed))
    return Pipe(source, engine, plan, listener, cancel or CancelToken())


@pytest.mark.parametrize("rate", [44100, 22050, 48000])
def test_blocks_come_before_the_source_has_ended(rate):
    """The first block is final when no more was read than a segment needs and the few blocks that are decoded ahead."""
    source = CountingSource(noise(20 * BLOCK_SAMPLES), rate)
    blocks = open_pipe(source).blocks()
    assert next(blocks).start == 0
    assert source.read_samples <= 4 * BLOCK_SAMPLES
    assert sum(block.samples for block in blocks) < 20 * BLOCK_SAMPLES
    assert source.read_samples == 20 * BLOCK_SAMPLES


def test_blocks_follow_each_other_without_gaps():
    """Each block starts where the last one ended, holds all stems and the same stretch of the mixture."""
    mixture, position = noise(200_000), 0
    for block in open_pipe(ArraySource(mixture, 44100)).blocks():
        stretch = mixture[:, position : position + block.samples]
        assert (block.start, block.sample_rate) == (position, 44100)
        np.testing.assert_array_equal(block.mixture, stretch)
        np.testing.assert_array_equal(block.stems["vocals"], stretch)
        assert not block.stems["accompaniment"].any()
        assert not block.residual.any()
        position += block.samples
    assert position == 200_000


def test_without_all_stems_there_is_no_residual():
    """What was not computed cannot be subtracted: no residual and no null error."""
    pipe = open_pipe(ArraySource(noise(10_000), 44100), stems=["vocals"])
    assert all(block.residual is None for block in pipe.blocks())
    assert pipe.null_error_db is None


def test_the_null_error_of_nothing_lost_is_minus_infinity():
    """Stems that sum to the mixture bit for bit have no error at all."""
    pipe = open_pipe(ArraySource(noise(10_000), 44100))
    list(pipe.blocks())
    assert pipe.null_error_db == -np.inf


def test_the_null_error_of_everything_lost_is_zero():
    """Stems that are all silent leave the whole mixture over: 0 dB."""
    spec = pass_through_spec(stems=("drums", "bass"))
    engine = open_engine(spec, EngineOptions(stems=("bass",)))
    plan = StemPlan(("bass",), ("bass",), {}, has_all=True)
    pipe = Pipe(ArraySource(noise(10_000), 44100), engine, plan, lambda event: None, CancelToken())
    list(pipe.blocks())
    assert pipe.null_error_db == pytest.approx(0)


def peak_bytes(samples: int, rate: int) -> int:
    source = Noise(samples)
    source.sample_rate = rate
    tracemalloc.start()
    try:
        for _ in open_pipe(source).blocks():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rate", [44100, 48000])
def test_memory_stays_flat(rate):
    """Eight times the recording needs no more memory, at the engine's rate and at another."""
    # How far the decoder is ahead is a matter of luck: the least of three.
    short, long = (min(peak_bytes(blocks * BLOCK_SAMPLES, rate) for _ in range(3)) for blocks in (10, 80))
    assert long < 1.1 * short


def test_a_header_that_promised_more_is_noted():
    """A recording that ends well before its header says gets a note with both figures."""
    source = ArraySource(noise(10_000), 44100)
    source.expected_samples = 20_000
    pipe = open_pipe(source)
    list(pipe.blocks())
    assert pipe.notes == ("the header promises 20000 samples, 10000 could be read",)


def test_a_used_token_stops_before_the_first_block():
    """A token that was cancelled beforehand lets nothing be read."""
    source, token = CountingSource(noise(10 * BLOCK_SAMPLES), 44100), CancelToken()
    token.cancel()
    with pytest.raises(SeparationCancelled):
        next(open_pipe(source, cancel=token).blocks())
    assert source.read_samples <= BLOCK_SAMPLES


def test_cancel_stops_the_analysis_too():
    """While a long recording is still read ahead to be normalised, a cancel stops the reading within a few blocks."""
    source, token = CountingSource(noise(20 * BLOCK_SAMPLES), 44100), CancelToken()
    spec = pass_through_spec(normalization="track")
    pipe = open_pipe(source, spec, lambda event: token.cancel(), cancel=token)
    with pytest.raises(SeparationCancelled):
        next(pipe.blocks())
    assert source.read_samples <= 5 * BLOCK_SAMPLES


def test_a_recording_is_analysed_before_it_is_normalised():
    """An engine for normalised tracks hears mean 0 and deviation 1 of the whole, and stems come back undone."""
    mixture = (0.01 * noise(200_000) + 0.2).astype(np.float32)
    events: list[Progress] = []
    spec = pass_through_spec(normalization="track", stems=("vocals",))
    pipe = open_pipe(ArraySource(mixture, 44100), spec, events.append)
    back = np.concatenate([block.stems["vocals"] for block in pipe.blocks()], axis=1)
    np.testing.assert_allclose(back, mixture, atol=1e-6)
    assert {event.phase for event in events} == {"analyse", "separate"}


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.parametrize("samples", [0, 1, 10_000])
def test_silence_and_dc_survive_normalising(value, samples):
    """Where the deviation is zero, what passes through still comes back."""
    mixture = np.full((2, samples), value, np.float32)
    spec = pass_through_spec(normalization="track", stems=("vocals",))
    back = [np.zeros((2, 0)), *(b.stems["vocals"] for b in open_pipe(ArraySource(mixture, 44100), spec).blocks())]
    np.testing.assert_array_equal(np.concatenate(back, axis=1), mixture)


def test_the_meter_never_falls_and_knows_the_rest():
    """Whatever is reported, the fraction does not fall; once some is done the remaining time is estimated."""
    events: list[Progress] = []
    meter = ProgressMeter(events.append, 10.0)
    for phase, seconds in [("analyse", 10), ("separate", 2), ("separate", 1), ("separate", 20), ("write", 0)]:
        meter.report(phase, seconds)
    meter.finish(20)
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert events[0].eta_seconds is None
    assert events[1].eta_seconds > 0
    assert events[-1] == Progress(phase="done", fraction=1, done_seconds=20, total_seconds=20, eta_seconds=0)


def test_without_a_header_the_total_grows():
    """Where nothing tells the duration, the total is what was done so far and no fraction is promised too high."""
    events: list[Progress] = []
    meter = ProgressMeter(events.append, None)
    meter.report("analyse", 5)
    meter.report("separate", 5)
    assert [event.total_seconds for event in events] == [0, 5]
    assert events[-1].fraction < 1


def test_a_bar_ends_at_a_hundred_percent(capsys):
    """`progress=True` is a bar on standard error that ends at 100 % with its last phase."""
    with listening(True) as bar:
        bar(Progress(phase="separate", fraction=0.5))
        bar(Progress(phase="done", fraction=1.0))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "done" in shown.err
    assert "100%" in shown.err


def test_a_bar_is_closed_after_an_error(monkeypatch):
    """An engine that fails half-way leaves no bar open, which would draw over whatever is printed next."""
    closed = []
    monkeypatch.setattr(Bar, "close", lambda bar: closed.append(bar))
    with pytest.raises(SeparationFailed):
        isomix.separate((np.zeros((2, 10 * 44100), np.float32), 44100), "testing:failing", progress=True)
    assert len(closed) == 1


def test_silence_is_the_default(capsys):
    """Without a wish nothing is shown; a callable is called; closing a bar that never began is harmless."""
    for wish in (None, False):
        with listening(wish) as listener:
            listener(Progress(phase="done", fraction=1.0))
    with listening(print) as listener:
        assert listener is print
    Bar().close()
    assert capsys.readouterr() == ("", "")


def test_a_file_is_read_lazily(tmp_path):
    """A generator of blocks that is dropped half-way leaves no open file behind that would warn."""
    soundfile.write(tmp_path / "x.wav", noise(10 * BLOCK_SAMPLES).T, 44100)
    with open_source(tmp_path / "x.wav") as source:
        blocks = open_pipe(source).blocks()
        next(blocks)
        blocks.close()
