"""Engines side by side: means, alignment, pruning, refusals, memory."""

from __future__ import annotations

import pickle
import tracemalloc

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isomix
from isomix.audio.overlap import Segmentation
from isomix.backends.ensemble import Ensemble
from isomix.backends.ensemble.engine import EnsembleEngine, open_ensemble
from isomix.domain.options import EngineOptions
from isomix.domain.progress import CancelToken
from isomix.engine import EngineSpec, SeparationEngine
from isomix.errors import EngineUnavailable, InvalidOptions, PluginError, SeparationCancelled, UnknownModel
from isomix.plugins import open_engine

GAINS = {"one": {"lead": 0.5, "rest": 0.25}, "two": {"lead": 0.125, "rest": 0.75}}
"""Each toy's stem is the mixture times a number of its own."""


class Toy(SeparationEngine):
    """Scales; counts what is asked of it."""

    def __init__(self, spec: EngineSpec, options: EngineOptions) -> None:
        super().__init__(spec, options)
        self.calls = self.closed = 0
        OPENED.append(self)

    def _separate(self, mixture):
        self.calls += 1
        gains = GAINS.get(self.spec.name, GAINS["one"])
        return np.stack([mixture * np.float32(gains[stem]) for stem in self.stems], axis=1)

    def close(self):
        self.closed += 1


class Squarer(Toy):
    """Is not linear and sees its segment as a whole: what it gives depends on where the segments lie."""

    def _separate(self, mixture):
        loud = np.abs(mixture).max(axis=(1, 2), keepdims=True)
        return np.stack([mixture * loud * np.float32(GAINS["one"][stem]) for stem in self.stems], axis=1)


OPENED: list[Toy] = []


@pytest.fixture(autouse=True)
def nothing_opened():
    """Forget the toys of other tests."""
    OPENED.clear()


def refuse(spec, options):
    raise EngineUnavailable("no", model=spec.name)


def toy(name: str, length: int = 96, hop: int = 64, stems: tuple[str, ...] = ("lead", "rest"), **more) -> EngineSpec:
    more = {"segmentation": Segmentation(length=length, hop=hop), "factory": f"{__name__}:Toy", **more}
    return EngineSpec(name=name, stems=stems, **more)


ONE = toy("one")
TWO = toy("two", 130, 100, ("rest", "lead"))


def noise(samples: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(samples).standard_normal((channels, samples)).astype(np.float32)


def run(engine: SeparationEngine, mixture: np.ndarray, block_samples: int) -> np.ndarray:
    stream = engine.open_stream()
    settled = [np.zeros((len(engine.stems), len(mixture), 0), np.float32)]
    for start in range(0, mixture.shape[-1], block_samples):
        settled += stream.push(mixture[:, start : start + block_samples])
    return np.concatenate([*settled, *stream.finish()], axis=-1)


def open_toys(weights, **options) -> EnsembleEngine:
    return open_ensemble(Ensemble(weights), EngineOptions(**options))


@settings(deadline=None)
@given(
    samples=st.integers(0, 1500),
    block_samples=st.integers(1, 700),
    length=st.integers(2, 300),
    weight=st.floats(0.01, 100),
    shifts=st.integers(0, 2),
)
@pytest.mark.slow
def test_an_ensemble_of_one_is_that_model(samples, block_samples, length, weight, shifts):
    """Bit for bit, whatever the model does at its segments' borders, and whatever it weighs."""
    spec = toy("one", length, (length + 1) // 2, factory=f"{__name__}:Squarer")
    mixture, options = noise(samples), EngineOptions(shifts=shifts, seed=3)
    alone = run(open_engine(spec, options), mixture, block_samples)
    together = run(open_ensemble(Ensemble({spec: weight}), options), mixture, block_samples)
    np.testing.assert_array_equal(together, alone)


@settings(deadline=None)
@given(samples=st.integers(0, 1500), block_samples=st.integers(1, 700))
def test_two_equal_models_are_that_model(samples, block_samples):
    """The mean of two equal estimates is the estimate, bit for bit."""
    spec = toy("one", factory=f"{__name__}:Squarer")
    mixture = noise(samples)
    alone = run(open_engine(spec, EngineOptions()), mixture, block_samples)
    together = run(open_toys({spec: 1.0, attrs.evolve(spec, name="twin"): 1.0}), mixture, block_samples)
    np.testing.assert_array_equal(together, alone)


@settings(deadline=None)
@given(
    samples=st.integers(0, 1500),
    block_samples=st.integers(1, 700),
    lengths=st.tuples(st.integers(2, 300), st.integers(2, 300)),
    weights=st.tuples(st.floats(0, 5), st.floats(0.1, 5)),
    wanted=st.sets(st.sampled_from(["lead", "rest"]), min_size=1).map(tuple),
)
def test_stems_are_the_weighted_mean_sample_by_sample(samples, block_samples, lengths, weights, wanted):
    """Members that cut differently and name stems in another order are aligned; the length is exact."""
    one, two = (
        attrs.evolve(spec, segmentation=Segmentation(length=length, hop=(length + 1) // 2))
        for spec, length in zip((ONE, TWO), lengths, strict=True)
    )
    engine = open_toys({one: weights[0], two: weights[1]}, stems=wanted)
    mixture = noise(samples)
    shares = np.array(weights) / sum(weights)
    means = [sum(share * GAINS[name][stem] for share, name in zip(shares, GAINS, strict=True)) for stem in engine.stems]
    np.testing.assert_allclose(run(engine, mixture, block_samples), np.multiply.outer(means, mixture), atol=1e-5)


def test_weights_may_differ_by_stem():
    """A model weighs what is said of each stem, and nothing in a stem that is not named."""
    engine = open_toys({ONE: 1.0, TWO: {"lead": 3.0}})
    mixture = noise(900)
    lead, rest = run(engine, mixture, 100)
    np.testing.assert_allclose(lead, mixture * (0.5 + 3 * 0.125) / 4, atol=1e-6)
    np.testing.assert_array_equal(rest, mixture * np.float32(0.25))
    assert [opened.stems for opened in OPENED] == [("lead", "rest"), ("lead",)]


def test_a_model_that_no_wanted_stem_needs_is_not_opened():
    """Only the members with a weight in a wanted stem are loaded."""
    weights = {ONE: 1.0, TWO: {"lead": 3.0}, attrs.evolve(ONE, name="idle"): 0.0}
    engine = open_toys(weights, stems=("rest",))
    assert [opened.spec.name for opened in OPENED] == ["one"]
    run(engine, noise(300), 100)
    assert OPENED[0].calls


@settings(deadline=None, max_examples=25)
@given(
    samples=st.integers(0, 20_000),
    block_samples=st.integers(50, 7000),
    sample_rate=st.sampled_from([8000, 22050, 32000]),
    channels=st.sampled_from([1, 2]),
)
def test_members_of_any_rate_and_channels_fit(samples, block_samples, sample_rate, channels):
    """A member at another rate and with other channels is resampled and aligned, exact in length."""
    slow = toy("slow", sample_rate=sample_rate, channels=channels)
    engine = open_toys({ONE: 1.0, slow: 1.0})
    assert (engine.spec.sample_rate, engine.spec.channels) == (44100, 2)
    time = np.arange(samples) / 44100
    mixture = np.tile(np.sin(2 * np.pi * 300 * time) * np.hanning(samples + 2)[1:-1], (2, 1)).astype(np.float32)
    stems = run(engine, mixture, block_samples)
    assert stems.shape == (2, 2, samples)
    if samples > 4000:
        np.testing.assert_allclose(stems[0], 0.5 * mixture, atol=2e-3)


def test_it_is_used_wherever_a_model_is():
    """`separate` and `Separator` take it, with derived stems, and the result bears its name."""
    ensemble = isomix.Ensemble({"testing:tiny": 1.0, "testing:loud": 1.0})
    mixture = noise(100_000)
    separation = isomix.separate((mixture, 44100), ensemble, stems=["vocals", "accompaniment"])
    assert separation.model == "ensemble(testing:tiny, testing:loud)"
    np.testing.assert_array_equal(separation["vocals"].array, mixture * np.float32(1.25))
    with isomix.Separator(pickle.loads(pickle.dumps(ensemble))) as separator:
        assert separator.separate((mixture, 44100)).null_error_db < -100
        assert (separator.device, separator.precision, separator.runtime) == ("cpu", "float32", "numpy")


def test_facts_follow_from_the_members():
    """The strictest licence rules, extras add up, and a name can be given."""
    free = toy("one", licence="MIT", commercial_use="yes", extra="spleeter")
    unknown = toy("two", licence="unknown", extra="demucs")
    forbidden = toy("three", licence="CC-BY-NC-4.0", commercial_use="no")
    both = Ensemble({free: 1.0, unknown: 2.0}, name="mine")
    assert (both.name, both.commercial_use, both.licence, both.extra) == (
        "mine",
        "unknown",
        "MIT + unknown",
        "demucs,spleeter",
    )
    assert Ensemble({free: 1.0, unknown: 1.0, forbidden: 1.0}).commercial_use == "no"
    assert Ensemble({free: 1.0}).commercial_use == "yes"


def test_an_ensemble_is_a_value():
    """It can be compared, hashed, pickled and evolved."""
    ensemble = Ensemble({ONE: 1.0, TWO: {"lead": 2.0}})
    assert pickle.loads(pickle.dumps(ensemble)) == ensemble
    assert len({ensemble, Ensemble({ONE: 1.0, TWO: {"lead": 2.0}})}) == 1
    assert attrs.evolve(ensemble, name="other").members == ensemble.members


def test_an_ensemble_may_be_a_member():
    """An ensemble of an ensemble is an ensemble."""
    inner = Ensemble({ONE: 1.0, TWO: 1.0})
    mixture = noise(700)
    lead, _ = run(open_toys({inner: 1.0, attrs.evolve(ONE, name="again"): 1.0}), mixture, 50)
    np.testing.assert_allclose(lead, mixture * ((0.5 + 0.125) / 2 + 0.5) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "at least one model"),
        (["hpss"], "at least one model"),
        ({ONE: 1.0, toy("x", stems=("lead", "extra")): 1.0}, "must have equal stems: one has"),
        ({ONE: 1.0, toy("x", normalization="track"): 1.0}, "must have equal normalization"),
        ({ONE: -1.0}, "at least 0, not -1.0"),
        ({ONE: float("nan")}, "not nan"),
        ({ONE: "much"}, "not 'much'"),
        ({ONE: {"lead": 1.0, "guitar": 2.0}}, "no stem 'guitar'"),
        ({ONE: {"lead": 1.0}, TWO: {"lead": 1.0}}, "no model of the ensemble has a weight for 'rest'"),
        ({ONE: 0.0}, "has a weight for 'lead'"),
    ],
)
def test_what_does_not_fit_is_refused(weights, message):
    """An ensemble that makes no sense is an error when it is made, before any weights are loaded."""
    with pytest.raises(InvalidOptions, match=message):
        Ensemble(weights)
    assert not OPENED


def test_an_unknown_model_is_refused():
    """The error is that of `separate`."""
    with pytest.raises(UnknownModel, match="no-such-model"):
        Ensemble({"no-such-model": 1.0})


def test_an_unknown_stem_opens_nothing():
    """A stem that the ensemble does not have is refused before any weights are loaded."""
    with pytest.raises(InvalidOptions, match="guitar"):
        open_toys({ONE: 1.0}, stems=("guitar",))
    assert not OPENED


def test_a_plain_spec_is_refused():
    """The factory needs a spec that names the members."""
    with pytest.raises(PluginError, match="not an Ensemble"):
        open_ensemble(ONE, EngineOptions())


def test_options_go_down():
    """What the caller asks of the ensemble reaches every member."""
    asked = {"device": "mine", "offline": True, "seed": 3, "batch_size": 2, "repo": "folder", "precision": "float16"}
    open_toys({ONE: 1.0, TWO: 1.0}, **asked)
    assert [attrs.evolve(opened.options, stems=None) for opened in OPENED] == [EngineOptions(**asked)] * 2


FIXED = toy("fixed", segmentation=Segmentation(length=8, hop=8, window="sum"))


def test_overlap_goes_where_it_can_be_chosen():
    """A member whose overlap is fixed by its STFT keeps it; where none can take it, it is refused."""
    open_toys({FIXED: 1.0, ONE: 1.0}, overlap=0.5)
    assert [opened.segmentation.hop for opened in OPENED] == [8, 48]
    with pytest.raises(InvalidOptions, match="fixed by their STFTs"):
        open_toys({FIXED: 1.0}, overlap=0.5)


def test_closing_closes_all():
    """Closing the ensemble closes its members."""
    open_toys({ONE: 1.0, TWO: 1.0}).close()
    assert [opened.closed for opened in OPENED] == [1, 1]


def test_a_member_that_fails_to_open_closes_the_others():
    """Nothing stays loaded when the ensemble cannot be opened."""
    with pytest.raises(EngineUnavailable):
        open_toys({ONE: 1.0, toy("broken", factory=f"{__name__}:refuse"): 1.0})
    assert OPENED[0].closed == 1


@pytest.mark.parametrize("samples", [0, 1, 500])
def test_a_batch_of_segments_goes_through(samples):
    """The checked public method gives each segment its own stems, whatever the members' segments are."""
    engine = open_toys({ONE: 1.0, TWO: 1.0})
    batch = np.stack([noise(samples), -noise(samples)])
    gains = np.array([0.3125, 0.5], np.float32)[None, :, None, None]
    np.testing.assert_allclose(engine.separate(batch), batch[:, None] * gains, atol=1e-6)


def test_every_member_can_be_stopped():
    """The callback is called before each segment of every member, and a cancelled separation ends."""
    engine = open_toys({ONE: 1.0, TWO: 1.0})
    calls = []
    stream = engine.open_stream(lambda: calls.append(1))
    for _ in [*stream.push(noise(1000)), *stream.finish()]:
        pass
    assert len(calls) == sum(opened.calls for opened in OPENED)
    token, ensemble = CancelToken(), Ensemble({"testing:tiny": 1.0, "testing:slow-10ms": 1.0})
    with isomix.Separator(ensemble) as separator:
        blocks = separator.stream((noise(44100 * 20), 44100), cancel=token)
        next(blocks)
        token.cancel()
        with pytest.raises(SeparationCancelled):
            list(blocks)


def peak_bytes(segments: int) -> int:
    """Return the peak of memory while a mixture of so many segments goes through, its stems thrown away."""
    stream = open_toys({ONE: 1.0, TWO: 1.0}).open_stream()
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
    """Ten times the mixture costs the same memory: nothing queues up beside the slower member."""
    peak_bytes(5)
    # The least of three: some other test's thread may allocate meanwhile, and that is counted, too.
    short, long = (min(peak_bytes(pieces) for _ in range(3)) for pieces in (20, 200))
    assert long < 1.1 * short
