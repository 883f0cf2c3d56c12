"""Checks of a stream: its length, its blocks, that others run beside it, and that it can be stopped."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from isomix.audio.blocks import Audio
from isomix.errors import SeparationCancelled
from isomix.testing.conformance.rules import Broken, Check
from isomix.testing.conformance.signals import noise
from isomix.testing.conformance.subject import Subject

TINY_SAMPLES = (0, 1, 100)
AT_ONCE = 3
"""Recordings that are separated at the same time."""
PARTS = 7
"""Blocks a segment is cut into, none of which ends where a segment does."""


def _block(subject: Subject) -> int:
    return subject.length // PARTS + 1


def _check_tiny(subject: Subject) -> None:
    for samples in TINY_SAMPLES:
        _require_samples(subject, samples)
        stems = subject.separate(noise(samples, subject.spec.channels))
        if stems.shape[-1] != samples or not np.isfinite(stems).all():
            raise Broken(f"of a recording of {samples} samples, stems have the shape {stems.shape}")


def _check_length(subject: Subject) -> None:
    length, hop = subject.length, subject.engine.segmentation.hop
    for samples in (length - 1, length + 1, 2 * length + hop // 2 + 1):
        _require_samples(subject, samples)


def _require_samples(subject: Subject, samples: int) -> None:
    stems = subject.stream(noise(samples, subject.spec.channels), _block(subject))
    if stems.shape[-1] != samples:
        raise Broken(f"a stream that was given {samples} samples gave {stems.shape[-1]} back")


def _check_blocks(subject: Subject) -> None:
    # The second half is softer, which a block that is looked at by itself does not see.
    mixture = subject.noise(1.6) * np.where(np.arange(int(1.6 * subject.length)) < subject.length // 2, 1, 0.2)
    mixture = np.asarray(mixture, np.float32)
    whole = subject.stream(mixture, mixture.shape[-1])
    cut = subject.stream(mixture, _block(subject))
    subject.require_equal("a recording pushed in blocks, against in one,", cut, whole, mixture)


def _check_streams(subject: Subject) -> None:
    mixtures = [subject.noise(1.3, seed=10 + number) * np.float32(0.5**number) for number in range(AT_ONCE)]
    alone = [subject.stream(mixture, _block(subject)) for mixture in mixtures]
    ways = {"in turn": _interleave(subject, mixtures), "in threads": _run_threads(subject, mixtures)}
    for way, together in ways.items():
        for number, stems in enumerate(together):
            what = f"recording {number} of {AT_ONCE} that were separated {way}, against alone,"
            subject.require_equal(what, stems, alone[number], mixtures[number])


def _interleave(subject: Subject, mixtures: list[Audio]) -> list[Audio]:
    """Push block after block of several recordings in turn: what streams share is found without luck."""
    streams = [subject.engine.open_stream() for _ in mixtures]
    settled: list[list[Audio]] = [[] for _ in mixtures]
    block = _block(subject)
    for start in range(0, mixtures[0].shape[-1], block):
        for number, mixture in enumerate(mixtures):
            settled[number] += streams[number].push(mixture[:, start : start + block])
    for number, stream in enumerate(streams):
        settled[number] += stream.finish()
    return [subject.join(blocks) for blocks in settled]


def _run_threads(subject: Subject, mixtures: list[Audio]) -> list[Audio]:
    ready = threading.Barrier(len(mixtures))

    def run(mixture: Audio) -> Audio:
        ready.wait()
        return subject.stream(mixture, _block(subject))

    with ThreadPoolExecutor(len(mixtures)) as pool:
        return list(pool.map(run, mixtures))


def _check_cancel(subject: Subject) -> None:
    engine = subject.engine
    samples = (3 * engine.batch_size) * subject.length
    mixture = noise(samples, subject.spec.channels)
    called = 0

    def count() -> None:
        nonlocal called
        called += 1

    subject.stream(mixture, before_segment=count)
    seconds = samples / subject.spec.sample_rate
    if called < 3:
        raise Broken(
            f"in {seconds:.2f} s of audio, {samples // subject.length} segments in batches of {engine.batch_size}, "
            f"before_segment was called {called} times, not 3: that long a cancel goes unheard"
        )
    _require_stop(subject, mixture)


def _require_stop(subject: Subject, mixture: Audio) -> None:
    called = 0

    def stop_at_second() -> None:
        nonlocal called
        called += 1
        if called > 1:
            raise SeparationCancelled("the separation was cancelled")

    try:
        subject.stream(mixture, before_segment=stop_at_second)
    except SeparationCancelled:
        if called > 2:
            raise Broken(f"it went on after a cancel and asked {called - 2} times more") from None
    else:
        raise Broken("before_segment raised SeparationCancelled, and the separation went on to its end")
    subject.stream(subject.noise(1))


STREAMS = (
    Check("tiny", "Recordings of no sample, one or a few give stems of as many.", _check_tiny),
    Check(
        "length",
        "What a stream gives is as long as what it was given, to the sample, wherever segments end.",
        _check_length,
    ),
    Check(
        "blocks",
        "How a recording is cut into blocks makes no difference: an engine sees segments.",
        _check_blocks,
        needs=("determinism",),
    ),
    Check(
        "streams",
        "Recordings that are separated at the same time, in one thread or several, have nothing to do with each other.",
        _check_streams,
        needs=("determinism", "untouched"),
    ),
    Check(
        "cancel",
        "open_stream calls before_segment before each call of the network, and lets through what it raises.",
        _check_cancel,
    ),
)
