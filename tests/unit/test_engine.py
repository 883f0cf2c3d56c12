"""The seam: what an engine is given and gives is checked, whoever wrote it."""

from __future__ import annotations

import threading
import time

import attrs
import numpy as np
import pytest

from isomix.audio.overlap import Segmentation
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine
from isomix.errors import ContractBroken, InvalidOptions, PluginError, SeparationFailed, TooLong
from isomix.testing.engines import PassThroughEngine, pass_through_spec

SPEC = pass_through_spec()


def noise(batch: int = 2, samples: int = 1000) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((batch, 2, samples)).astype(np.float32)


def engine_of(work, **options) -> SeparationEngine:
    """Return an engine whose private method is a plain function of (engine, mixture)."""
    return type("Engine", (PassThroughEngine,), {"_separate": work})(SPEC, EngineOptions(**options))


def stream(engine: SeparationEngine, mixture: np.ndarray) -> np.ndarray:
    opened = engine.open_stream()
    nothing = np.zeros((len(engine.stems), 2, 0), np.float32)
    return np.concatenate([nothing, *opened.push(mixture), *opened.finish()], axis=-1)


def with_value(value: float):
    def work(engine, mixture):
        stems = np.zeros((len(mixture), 2, *mixture.shape[1:]), np.float32)
        stems[0, 1, 0, 7] = value
        return stems

    return work


@pytest.mark.parametrize(
    "work",
    [
        lambda engine, mixture: mixture,
        lambda engine, mixture: np.zeros((len(mixture), 3, *mixture.shape[1:]), np.float32),
        lambda engine, mixture: np.zeros((len(mixture), 2, *mixture.shape[1:]), np.float64),
        lambda engine, mixture: np.zeros((len(mixture), 2, 2, 999), np.float32),
        lambda engine, mixture: None,
        lambda engine, mixture: [[0.0]],
        with_value(np.nan),
        with_value(np.inf),
    ],
    ids=["no stems", "a stem too many", "float64", "too short", "nothing", "a list", "NaN", "infinity"],
)
def test_an_engine_that_breaks_the_rules_is_named(work):
    """A wrong shape, type or value from an engine is a broken contract, and the engine is named."""
    with pytest.raises(ContractBroken, match="pass-through returned") as caught:
        engine_of(work).separate(noise())
    assert caught.value.model == "pass-through"


@pytest.mark.parametrize(
    "mixture",
    [
        noise()[0],
        noise()[:, :1],
        noise().astype(np.float64),
        np.full((1, 2, 3), np.nan, np.float32),
        np.float32(0),
        noise().tolist(),
        None,
    ],
    ids=["2-D", "mono", "float64", "NaN", "a scalar", "a list", "nothing"],
)
def test_a_caller_that_breaks_the_rules_is_told(mixture):
    """A wrong shape, type or value given to an engine is a broken contract, and never reaches it."""
    with pytest.raises(ContractBroken, match="pass-through was given"):
        engine_of(lambda engine, mixture: pytest.fail("it was reached")).separate(mixture)


def test_the_mixture_cannot_be_changed():
    """An engine that writes into its input fails; the caller's array stays and stays writable."""

    def scribble(engine, mixture):
        mixture[:] = 0

    mixture, before = noise(), noise()
    with pytest.raises(SeparationFailed, match="read-only"):
        engine_of(scribble).separate(mixture)
    np.testing.assert_array_equal(mixture, before)
    assert mixture.flags.writeable


def test_stems_are_the_callers_own():
    """Even of an engine that answers with a view of its input, the caller may change the stems."""
    mixture = noise()
    stems = engine_of(lambda engine, mixture: np.stack([mixture] * 2, axis=1)[:, :2]).separate(mixture)
    one = type("View", (PassThroughEngine,), {"_separate": lambda engine, mixture: mixture[:, None]})
    view = one(SPEC, EngineOptions(stems=("vocals",))).separate(mixture)
    stems[:] = view[:] = 0
    np.testing.assert_array_equal(mixture, noise())


def test_a_strangers_exception_is_translated():
    """What an engine raises becomes `SeparationFailed` that tells it in one line and keeps the cause."""

    def fail(engine, mixture):
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(SeparationFailed, match="pass-through failed: RuntimeError: CUDA out of memory") as caught:
        engine_of(fail).separate(noise())
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_error_of_the_tree_passes():
    """What is an isomix error already is not wrapped."""

    def refuse(engine, mixture):
        raise TooLong("too long for me")

    with pytest.raises(TooLong):
        engine_of(refuse).separate(noise())


def test_an_error_does_not_lock_the_engine():
    """After a failure the next caller is served."""
    answers = iter([RuntimeError(), None])

    def fail_once(engine, mixture):
        if error := next(answers):
            raise error
        return np.stack([mixture] * 2, axis=1)

    engine = engine_of(fail_once)
    with pytest.raises(SeparationFailed):
        engine.separate(noise())
    assert engine.separate(noise()).shape == (2, 2, 2, 1000)


def test_one_thread_works_at_a_time():
    """However many threads call, the private method runs once at a time and each gets its own answer."""
    inside, most = 0, 0

    def watch(engine, mixture):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.002)
        inside -= 1
        return np.stack([mixture] * 2, axis=1)

    engine, results = engine_of(watch), {}

    def call(number):
        results[number] = engine.separate(np.full((1, 2, 10), number, np.float32))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert all((results[number] == number).all() for number in range(8))


def test_wanted_stems_come_in_the_order_of_the_spec():
    """An engine is opened for the stems that are wanted, in its own order."""
    assert PassThroughEngine(SPEC, EngineOptions(stems=("accompaniment", "vocals"))).stems == SPEC.stems
    only = PassThroughEngine(SPEC, EngineOptions(stems=("accompaniment",)))
    assert only.stems == ("accompaniment",)
    assert not only.separate(noise()).any()


def test_a_stem_that_the_engine_lacks_is_refused():
    """The refusal names the engine and the stem."""
    with pytest.raises(InvalidOptions, match=r"pass-through has no stems \['guitar'\]"):
        PassThroughEngine(SPEC, EngineOptions(stems=("guitar", "vocals")))


def test_an_overlap_changes_the_cut():
    """The overlap that is asked for replaces the spec's own."""
    assert PassThroughEngine(SPEC, EngineOptions(overlap=0.5)).segmentation.hop == 2048
    assert PassThroughEngine(SPEC, EngineOptions()).segmentation == SPEC.segmentation


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_segments_run_in_batches(batch_size):
    """As many segments as asked for go into one call, and the outcome is the same."""
    sizes = []

    def watch(engine, mixture):
        sizes.append(len(mixture))
        return np.stack([mixture, np.zeros_like(mixture)], axis=1)

    mixture = noise(1, 50_000)[0]
    stems = stream(engine_of(watch, batch_size=batch_size), mixture)
    np.testing.assert_array_equal(stems[0], mixture)
    assert max(sizes) == batch_size


@pytest.mark.parametrize("samples", [0, 1, 100, 30_000])
@pytest.mark.parametrize("shifts", [1, 2, 4])
def test_shifted_passes_are_averaged_in_place(samples, shifts):
    """Passes over shifted input are laid over each other sample by sample: what passes through comes back exactly."""
    mixture = noise(1, samples)[0]
    stems = stream(PassThroughEngine(SPEC, EngineOptions(shifts=shifts)), mixture)
    np.testing.assert_array_equal(stems[0], mixture)


def test_shifts_are_drawn_from_the_seed():
    """Each pass has its own shift; the same seed shifts the same, another seed otherwise."""

    def ramp(engine, mixture):
        window = np.linspace(0, 1, mixture.shape[-1], dtype=np.float32)
        return np.stack([mixture * window] * 2, axis=1)

    mixture = noise(1, 30_000)[0]
    first, again, other, more = (
        stream(engine_of(ramp, **options), mixture)
        for options in ({"shifts": 1}, {"shifts": 1}, {"shifts": 1, "seed": 1}, {"shifts": 2})
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert np.abs(first - more).max() > 1e-3


def test_before_every_segment_there_is_a_chance_to_stop():
    """What the hook before a segment raises ends the stream at once and is not wrapped."""
    calls = []

    def stop_at_third():
        calls.append(None)
        if len(calls) == 3:
            raise TooLong("enough")

    opened = PassThroughEngine(SPEC, EngineOptions()).open_stream(stop_at_third)
    with pytest.raises(TooLong):
        list(opened.push(noise(1, 50_000)[0]))
    assert len(calls) == 3


@pytest.mark.parametrize("factory", ["", "module", "module:", ":function", "module:a.b"])
def test_a_factory_is_a_module_and_a_function(factory):
    """A spec whose factory cannot be found by its name is refused when it is made."""
    with pytest.raises(PluginError, match=r"package\.module:function"):
        EngineSpec(name="x", stems=("a",), factory=factory, segmentation=Segmentation(length=1, hop=1))


@pytest.mark.parametrize("stems", [(), ("a", "a"), ("residual",), ("../a",), ("a/b",), ("",), (".a",), ("a:b",)])
def test_stems_are_names_of_files(stems):
    """A spec has stems, each once, each fit for a file name, and none takes the name of the residual."""
    with pytest.raises(PluginError, match="x"):
        EngineSpec(name="x", stems=stems, factory="m:f", segmentation=Segmentation(length=1, hop=1))


@pytest.mark.parametrize("stem", ["vocals", "lead-vocals", "Lead Vocals", "guitar_2", "声音"])
def test_stems_may_be_called_what_musicians_call_them(stem):
    """Letters of any script, digits, spaces and hyphens are fine."""
    assert attrs.evolve(SPEC, stems=(stem,)).stems == (stem,)
