"""Engines over engines: alignment, pruning, refusals, memory."""

from __future__ import annotations

import tracemalloc

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isomix.audio.overlap import Segmentation
from isomix.backends import cascade, hpss
from isomix.backends.cascade import CascadeSpec
from isomix.backends.cascade.engine import CascadeEngine, open_cascade
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine
from isomix.errors import EngineUnavailable, InvalidOptions, PluginError, SeparationCancelled, UnknownModel
from isomix.plugins import Offer, Registry

GAINS = {"lead": 0.5, "rest": 0.25, "extra": 0.125, "low": 0.5, "high": 0.75}
"""Each toy stem is the mixture times a number of its own."""


class Toy(SeparationEngine):
    """Scales; counts what is asked of it."""

    def __init__(self, spec: EngineSpec, options: EngineOptions) -> None:
        super().__init__(spec, options)
        self.calls = self.closed = 0
        OPENED.append(self)

    def _separate(self, mixture):
        self.calls += 1
        return np.stack([mixture * np.float32(GAINS[stem]) for stem in self.stems], axis=1)

    def close(self):
        self.closed += 1


OPENED: list[Toy] = []
open_toy = Toy


def refuse(spec, options):
    raise EngineUnavailable("no", model=spec.name)


def toy_spec(name: str, stems: tuple[str, ...], length: int, hop: int, **more: object) -> EngineSpec:
    cut = more.pop("segmentation", Segmentation(length=length, hop=hop))
    more = {"factory": f"{__name__}:open_toy", **more}
    return EngineSpec(name=name, stems=stems, segmentation=cut, **more)


FIRST = toy_spec("first", ("rest", "lead"), 96, 64)
SECOND = toy_spec("second", ("high", "low"), 130, 100)
STEMS = ("lead", "low", "high")
EXPECTED = {"lead": (0.5,), "low": (0.25, 0.5), "high": (0.25, 0.75)}


def spec_of(**changes: object) -> CascadeSpec:
    return CascadeSpec(
        **{"name": "toys", "first": "first", "stem": "rest", "second": "second", "stems": STEMS, **changes}
    )


def registry_of(*specs: EngineSpec) -> Registry:
    return Registry({spec.name: (Offer(spec, "toys"),) for spec in specs}, ())


def open_toys(
    *parts: EngineSpec, spec: CascadeSpec | None = None, **options: object
) -> tuple[CascadeEngine, list[Toy]]:
    """Open a cascade of toys; return it and the toys that were opened."""
    OPENED.clear()
    engine = open_cascade(spec or spec_of(), EngineOptions(**options), registry_of(*(parts or (FIRST, SECOND))))
    return engine, list(OPENED)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(samples).standard_normal((2, samples)).astype(np.float32)


def expected(stems: tuple[str, ...], mixture: np.ndarray) -> np.ndarray:
    out = []
    for stem in stems:
        scaled = mixture
        for gain in EXPECTED[stem]:
            scaled = scaled * np.float32(gain)
        out.append(scaled)
    return np.stack(out)


def run(engine: SeparationEngine, mixture: np.ndarray, block_samples: int) -> np.ndarray:
    stream = engine.open_stream()
    settled = [np.zeros((len(engine.stems), 2, 0), np.float32)]
    for start in range(0, mixture.shape[-1], block_samples):
        settled += stream.push(mixture[:, start : start + block_samples])
    return np.concatenate([*settled, *stream.finish()], axis=-1)


@settings(deadline=None)
@given(samples=st.integers(0, 1500), block_samples=st.integers(1, 700))
def test_stems_are_aligned_sample_by_sample(samples, block_samples):
    """Parts that cut differently still give, bit for bit, each sample in its place and each stem in its order."""
    engine, _ = open_toys()
    mixture = noise(samples)
    assert engine.stems == STEMS
    np.testing.assert_array_equal(run(engine, mixture, block_samples), expected(STEMS, mixture))


@settings(deadline=None, max_examples=30)
@given(
    wanted=st.sets(st.sampled_from(STEMS), min_size=1).map(tuple),
    lengths=st.tuples(st.integers(20, 300), st.integers(20, 300)),
    shifts=st.integers(0, 2),
)
def test_any_wanted_stems_of_any_cut(wanted, lengths, shifts):
    """Every choice of stems gives what a full run would, whichever part looks further ahead, shifted or not."""
    first, second = (
        attrs.evolve(part, segmentation=Segmentation(length=length, hop=(length + 1) // 2))
        for part, length in zip((FIRST, SECOND), lengths, strict=True)
    )
    engine, _ = open_toys(first, second, stems=wanted, shifts=shifts)
    mixture = noise(777)
    np.testing.assert_allclose(run(engine, mixture, 50), expected(engine.stems, mixture), atol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 500])
def test_a_batch_of_segments_goes_through_both(samples):
    """The checked public method gives each segment its own stems, whatever the parts' segments are."""
    engine, _ = open_toys()
    batch = np.stack([noise(samples), -noise(samples)])
    np.testing.assert_array_equal(engine.separate(batch), np.stack([expected(STEMS, segment) for segment in batch]))


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (("lead",), [("lead",)]),
        (("low",), [("rest",), ("low",)]),
        (("low", "lead"), [("rest", "lead"), ("low",)]),
        (None, [("rest", "lead"), ("high", "low")]),
    ],
)
def test_parts_are_asked_only_for_what_is_needed(wanted, asked):
    """Each part opens with the stems that the wanted ones need; a second that gives none is never opened."""
    engine, toys = open_toys(stems=wanted)
    run(engine, noise(300), 100)
    assert [toy.stems for toy in toys] == asked
    assert all(toy.calls for toy in toys)


def test_a_stem_may_keep_its_name():
    """The second may give a stem of the name that it was fed; the outcome's is the second's."""
    spec = spec_of(stem="lead", second="again", stems=("lead", "rest", "extra"))
    engine, _ = open_toys(FIRST, toy_spec("again", ("lead", "extra"), 50, 25), spec=spec)
    mixture = noise(400)
    gains = np.array([0.25, 0.25, 0.0625], np.float32)[:, None, None]
    np.testing.assert_array_equal(run(engine, mixture, 90), mixture * gains)
    engine, toys = open_toys(FIRST, toy_spec("again", ("lead", "extra"), 50, 25), spec=spec, stems=("lead",))
    assert [toy.stems for toy in toys] == [("lead",), ("lead",)]


def test_a_cascade_may_be_a_part():
    """A cascade of a cascade is a cascade."""
    inner = spec_of()
    outer = CascadeSpec(name="outer", first="toys", stem="low", second="third", stems=("lead", "low", "high", "extra"))
    third = toy_spec("third", ("extra", "low"), 33, 20)
    registry = registry_of(FIRST, SECOND, third)
    first = open_cascade(inner, EngineOptions(), registry)
    module = "isomix.backends.cascade.engine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{module}.installed", lambda: registry)
        engine = open_cascade(outer, EngineOptions(), registry_of(inner, third))
    mixture = noise(900)
    low = run(first, mixture, 64)[1]
    np.testing.assert_array_equal(run(engine, mixture, 64)[1], low * np.float32(0.5))


def test_options_go_down():
    """What the caller asks of the cascade reaches both parts."""
    _, toys = open_toys(device="mine", offline=True, seed=3, batch_size=2, repo="folder", precision="float16")
    for toy in toys:
        assert attrs.evolve(toy.options, stems=None) == EngineOptions(
            device="mine", offline=True, seed=3, batch_size=2, repo="folder", precision="float16"
        )


FIXED = attrs.evolve(FIRST, segmentation=Segmentation(length=8, hop=8, window="sum"))


def test_overlap_goes_where_it_can_be_chosen():
    """A part whose overlap is fixed by its STFT keeps it; the other takes the caller's."""
    _, toys = open_toys(FIXED, SECOND, overlap=0.5)
    assert [toy.segmentation.hop for toy in toys] == [8, 65]


def test_overlap_that_nobody_takes_is_refused():
    """An overlap that no part can honour is an error, not silence."""
    fixed = attrs.evolve(SECOND, segmentation=FIXED.segmentation)
    with pytest.raises(InvalidOptions, match="fixed by their STFTs"):
        open_toys(FIXED, fixed, overlap=0.5)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((attrs.evolve(FIRST, sample_rate=48000), SECOND), "first's sample_rate must be 44100, not 48000"),
        ((FIRST, attrs.evolve(SECOND, sample_rate=48000)), "second's sample_rate must be 44100, not 48000"),
        ((FIRST, attrs.evolve(SECOND, channels=1)), "second's channels must be 2, not 1"),
        ((FIRST, attrs.evolve(SECOND, normalization="track")), "second's normalization must be 'none', not 'track'"),
        ((attrs.evolve(FIRST, normalization="track"), SECOND), "first's normalization must be 'none', not 'track'"),
        ((attrs.evolve(FIRST, stems=("lead",)), SECOND), "first has no stem 'rest'"),
        ((FIRST, attrs.evolve(SECOND, stems=("low", "lead"))), "the parts' stems must be"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, message):
    """What the spec states and the parts do not keep is an error that names the fact, before any weights are loaded."""
    with pytest.raises(PluginError, match=message):
        open_toys(*parts)
    assert not OPENED


def test_a_missing_part_is_named():
    """A cascade over a model that is not installed says which one."""
    with pytest.raises(UnknownModel, match="'second'"):
        open_toys(FIRST)


def test_a_plain_spec_is_refused():
    """The factory needs a spec that names the parts."""
    with pytest.raises(PluginError, match="not a CascadeSpec"):
        open_cascade(FIRST, EngineOptions(), registry_of())


def test_an_unknown_stem_opens_nothing():
    """A stem that the cascade does not have is refused before any weights are loaded, the fed stem among them."""
    with pytest.raises(InvalidOptions, match="'rest'"):
        open_toys(stems=("rest",))
    assert not OPENED


def test_closing_closes_both():
    """Closing the cascade closes its parts."""
    engine, toys = open_toys()
    engine.close()
    assert [toy.closed for toy in toys] == [1, 1]


def test_a_second_that_fails_to_open_closes_the_first():
    """Nothing stays loaded when the cascade cannot be opened."""
    with pytest.raises(EngineUnavailable):
        open_toys(FIRST, attrs.evolve(SECOND, factory=f"{__name__}:refuse"))
    assert OPENED[0].closed == 1


def test_devices_are_told_as_they_are():
    """The record names each device once, and follows a part that moves."""
    engine, toys = open_toys()
    assert (engine.device, engine.precision, engine.runtime) == ("cpu", "float32", "numpy")
    toys[0].device = "cuda:0"
    assert engine.device == "cuda:0 + cpu"


def test_both_parts_can_be_stopped():
    """The callback is called before each segment of either part, and what it raises ends the stream."""
    engine, toys = open_toys()
    calls = []
    stream = engine.open_stream(lambda: calls.append(1))
    for _ in [*stream.push(noise(1000)), *stream.finish()]:
        pass
    assert len(calls) == sum(toy.calls for toy in toys)

    def stop():
        if toys[1].calls:
            raise SeparationCancelled("stop")

    toys[1].calls = 0
    with pytest.raises(SeparationCancelled):
        list(engine.open_stream(stop).push(noise(1000)))


def peak_bytes(segments: int) -> int:
    """Return the peak of memory while a mixture of so many segments goes through, its stems thrown away."""
    engine, _ = open_toys()
    stream = engine.open_stream()
    block = noise(1000)
    tracemalloc.start()
    try:
        for _ in range(segments):
            for _ in stream.push(block.copy()):
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_length():
    """Ten times the mixture costs the same memory: nothing queues up between the parts."""
    peak_bytes(5)
    # The least of three: some other test's thread may allocate meanwhile, and that is counted, too.
    short, long = (min(peak_bytes(pieces) for _ in range(3)) for pieces in (20, 200))
    assert long < 1.1 * short


def test_the_shipped_cascade_fits_hpss():
    """What ``spleeter+hpss`` states of its second part is what that part says of itself."""
    (spec,) = cascade.isomix_engines()
    assert spec.name == "spleeter+hpss"
    assert spec.stems == ("vocals", *hpss.SPEC.stems)
    assert spec.parts == ("spleeter:2stems", "hpss")
    assert (spec.sample_rate, spec.channels) == (hpss.SPEC.sample_rate, hpss.SPEC.channels)
