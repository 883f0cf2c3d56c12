"""What the Demucs engine promises beyond parity: no needless work, no mixing, no surprises."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from demucs.htdemucs import HTDemucs
from tiny_demucs import (
    SAMPLE_RATE,
    STEMS,
    make_mixture,
    one_thread,  # noqa: F401
    open_tiny,
    run_isomix,
    save_bag,
    save_network,
    snr_db,
)

from isomix.backends.demucs import isomix_engines
from isomix.domain.options import EngineOptions
from isomix.domain.progress import CancelToken
from isomix.errors import InvalidOptions, SeparationCancelled, WeightsUnavailable
from isomix.plugins import open_engine

ONE_EACH = "models: [n0, n1, n2, n3]\nweights: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a bag shaped like ``htdemucs_ft``."""
    folder = tmp_path_factory.mktemp("repo")
    for seed in range(4):
        save_network(folder, f"n{seed}", "htdemucs", seed=seed)
    save_bag(folder, "ft", ONE_EACH)
    return folder


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[int]]:
    """Count the segments that every network has seen."""
    counted: Counter[int] = Counter()
    forward = HTDemucs.forward

    def counting(network: HTDemucs, mixture: torch.Tensor) -> torch.Tensor:
        counted[id(network)] += len(mixture)
        return forward(network, mixture)

    monkeypatch.setattr(HTDemucs, "forward", counting)
    return counted


@pytest.mark.parametrize("shifts", [0, 2])
def test_one_stem_of_a_fine_tuned_bag_costs_a_quarter(repo: Path, calls: Counter[int], shifts: int) -> None:
    """With one stem wanted, one network of four is loaded and run, and the stem is what it was among all."""
    mixture = make_mixture(12)
    everything = run_isomix(open_tiny(repo, "ft", shifts=shifts), mixture)
    all_calls = calls.total()
    calls.clear()
    engine = open_tiny(repo, "ft", shifts=shifts, stems=("vocals",))
    vocals = run_isomix(engine, mixture)
    assert calls.total() * 4 == all_calls
    assert len(calls) == 1
    assert engine.stems == ("vocals",)
    np.testing.assert_array_equal(vocals[0], everything[STEMS.index("vocals")])


def test_networks_that_no_wanted_stem_needs_may_be_missing(repo: Path, tmp_path: Path) -> None:
    """A network without weight in the wanted stems is not even looked for."""
    save_network(tmp_path, "n0", "htdemucs")
    save_network(tmp_path, "n3", "htdemucs", seed=3)
    save_bag(tmp_path, "ft", ONE_EACH)
    assert open_tiny(tmp_path, "ft", stems=("vocals",)).stems == ("vocals",)
    with pytest.raises(WeightsUnavailable, match="n1"):
        open_tiny(tmp_path, "ft", stems=("bass",))


def test_two_runs_are_bit_identical(repo: Path) -> None:
    """The same seed gives the same samples, on engines opened apart."""
    mixture = make_mixture(9)
    first, second = (run_isomix(open_tiny(repo, "n0", shifts=1, seed=3), mixture) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_block_size_does_not_matter(repo: Path) -> None:
    """However the mixture arrives, the stems are the same, sample by sample."""
    mixture, engine = make_mixture(9), open_tiny(repo, "n0")
    np.testing.assert_array_equal(run_isomix(engine, mixture, block=997), run_isomix(engine, mixture))


def test_batches_give_what_single_segments_give(repo: Path) -> None:
    """Segments do not see their neighbours in a batch."""
    mixture = make_mixture(20)
    one, three = (run_isomix(open_tiny(repo, "n0", batch_size=size), mixture) for size in (1, 3))
    assert snr_db(one, three) > 100


def test_threads_on_one_engine_do_not_mix(repo: Path) -> None:
    """Recordings that are separated at the same time come back as when they are separated alone."""
    engine = open_tiny(repo, "n0")
    mixtures = [make_mixture(9, seed=seed) for seed in range(3)]
    alone = [run_isomix(engine, mixture) for mixture in mixtures]
    together: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda i=i: together.__setitem__(i, run_isomix(engine, mixtures[i]))) for i in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, stems in enumerate(alone):
        np.testing.assert_array_equal(together[index], stems)


def test_the_mixture_is_left_as_it_was(repo: Path) -> None:
    """Neither blocks nor segments are written into."""
    mixture = make_mixture(9)
    before = mixture.copy()
    engine = open_tiny(repo, "n0")
    for _ in engine.open_stream().push(mixture):
        pass
    engine.separate(mixture[None, :, :30_000])
    np.testing.assert_array_equal(mixture, before)


def test_a_segment_of_a_bag_is_the_mean_of_its_networks(repo: Path, tmp_path: Path) -> None:
    """`separate` gives the weighted mean of what each network says of a segment."""
    save_network(tmp_path, "n0", "htdemucs")
    save_network(tmp_path, "n1", "htdemucs", seed=1)
    save_bag(tmp_path, "pair", "models: [n0, n1]\nweights: [[1, 1, 1, 1], [3, 3, 3, 3]]")
    segment = make_mixture(5)[None]
    first, second, mean = (open_tiny(tmp_path, name).separate(segment) for name in ("n0", "n1", "pair"))
    np.testing.assert_allclose(mean, 0.25 * first + 0.75 * second, atol=1e-6)


def test_cancel_stops_before_the_next_segment(repo: Path, calls: Counter[int]) -> None:
    """What `before_segment` raises ends the work, and no network is called after it."""
    token, asked = CancelToken(), []

    def before_segment() -> None:
        asked.append(calls.total())
        if len(asked) == 6:
            token.cancel()
        token.check()

    with pytest.raises(SeparationCancelled):
        list(open_tiny(repo, "ft").open_stream(before_segment).push(make_mixture(60)))
    assert asked == [0, 1, 2, 3, 4, 5]
    assert calls.total() == 5


def test_global_torch_state_stays_as_it_was(repo: Path) -> None:
    """Opening and running leave random state, attention switches, gradients and allowed classes alone."""

    def state() -> tuple[object, ...]:
        return (
            torch.get_rng_state().tolist(),
            torch.backends.mha.get_fastpath_enabled(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            set(torch.serialization.get_safe_globals()),
            torch.get_default_dtype(),
        )

    before = state()
    run_isomix(open_tiny(repo, "n0"), make_mixture(1))
    assert state() == before


def test_what_was_chosen_is_recorded(repo: Path) -> None:
    """The engine says on what it runs, and its spec says what the networks are."""
    engine = open_tiny(repo, "n0", precision="bfloat16", batch_size=2)
    assert (engine.runtime, engine.device, engine.precision, engine.batch_size) == ("torch", "cpu", "bfloat16", 2)
    assert (engine.spec.stems, engine.spec.sample_rate) == (tuple(STEMS), SAMPLE_RATE)
    assert engine.spec.segmentation.length == int(7.8 * SAMPLE_RATE)


def test_bfloat16_is_near_float32(repo: Path) -> None:
    """Half precision changes the stems by little."""
    mixture = make_mixture(4)
    exact, near = (run_isomix(open_tiny(repo, "n0", precision=name), mixture) for name in ("float32", "bfloat16"))
    assert 20 < snr_db(exact, near) < 100


def test_a_released_name_takes_the_stems_of_the_users_networks(tmp_path: Path) -> None:
    """With a folder of the user's, the networks say what a model is, not isomix's catalog."""
    save_network(tmp_path, "955717e8", "htdemucs")
    spec = next(spec for spec in isomix_engines() if spec.name == "htdemucs")
    engine = open_engine(spec, EngineOptions(repo=tmp_path, device="cpu"))
    assert engine.spec.sample_rate == SAMPLE_RATE


def test_stems_that_the_model_lacks_are_refused(repo: Path) -> None:
    """A stem that no network has is the caller's mistake."""
    with pytest.raises(InvalidOptions):
        open_tiny(repo, "n0", stems=("piano",))
    with pytest.raises(InvalidOptions):
        open_tiny(repo, "n0", stems=("vocals", "piano"))


def test_closing_twice_is_harmless(repo: Path) -> None:
    """`close` lets go once, and then has nothing to do."""
    engine = open_tiny(repo, "n0")
    engine.close()
    engine.close()


def test_the_released_models_are_described_honestly() -> None:
    """No model of Demucs claims a licence for its weights, and each says what it is for and how large it is."""
    specs = {spec.name: spec for spec in isomix_engines()}
    assert len(specs) == 8
    assert specs["htdemucs_6s"].stems == (*STEMS, "guitar", "piano")
    for spec in specs.values():
        assert spec.commercial_use == "unknown"
        assert spec.licence.startswith("unknown")
        assert spec.normalization == "track"
        assert "MB" in spec.summary
    cut = specs["htdemucs"].segmentation
    assert (cut.length, cut.hop) == (343980, 257985)
