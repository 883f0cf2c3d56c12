"""Demucs through `isomix.separate`: the whole way from a file to files."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_demucs import SAMPLE_RATE, STEMS, make_mixture, run_demucs, save_bag, save_network, snr_db

import isomix
from isomix.cli import main
from isomix.errors import SeparationCancelled, UnknownModel, WeightsUnavailable


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """A user's folder with two networks and a bag of them."""
    folder = tmp_path_factory.mktemp("repo")
    save_network(folder, "one", "htdemucs")
    save_network(folder, "two", "hdemucs", seed=1)
    save_bag(folder, "bag", "models: ['one', 'two']\nweights: [[1, 1, 0, 1], [1, 0, 1, 2]]\n")
    return folder


def write(path: Path, mixture) -> Path:
    """Write a mixture without loss and return its path."""
    soundfile.write(path, mixture.T, SAMPLE_RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize("model", ["one", "bag"])
def test_a_file_gives_what_demucs_gives(model, repo, tmp_path):
    """A model of the user's folder, named by its bag or signature, equals Demucs with its normalisation."""
    mixture = make_mixture(20)
    separation = isomix.separate(
        write(tmp_path / "mixture.wav", mixture), model, repo=repo, device="cpu", runtime="torch"
    )
    estimate = np.stack([separation[stem].array for stem in STEMS])
    assert snr_db(run_demucs(repo, model, mixture), estimate) >= 80


@pytest.mark.parametrize("choices", [{}, {"shifts": 2}, {"overlap": 0.5}], ids=str)
def test_progress_is_monotone_for_bags_and_shifts(choices, repo):
    """Several networks and passes still tell one fraction that never falls and ends at 1."""
    events: list[isomix.Progress] = []
    mixture = (make_mixture(20), SAMPLE_RATE)
    isomix.separate(mixture, "bag", repo=repo, device="cpu", runtime="torch", progress=events.append, **choices)
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {event.phase for event in events} == {"analyse", "separate", "write", "done"}


def test_two_runs_give_the_same_files(repo, tmp_path):
    """Shifts are seeded: two runs write the same bytes."""

    def digests(name: str) -> list[str]:
        mixture = (make_mixture(12), SAMPLE_RATE)
        separation = isomix.separate(
            mixture, "bag", repo=repo, device="cpu", runtime="torch", shifts=2, output=tmp_path / name, format="flac"
        )
        return [hashlib.sha256(Path(stem.path).read_bytes()).hexdigest() for stem in separation.values()]

    assert digests("first") == digests("second")


def test_threads_on_one_separator_do_not_mix(repo):
    """Recordings separated at the same time come back as when they are separated alone."""
    mixtures = [(make_mixture(10 + seed, seed=seed), SAMPLE_RATE) for seed in range(4)]
    with isomix.Separator("bag", repo=repo, device="cpu", runtime="torch") as separator:
        alone = [separator.separate(mixture)["vocals"].array for mixture in mixtures]
        with ThreadPoolExecutor(4) as pool:
            together = [separation["vocals"].array for separation in pool.map(separator.separate, mixtures)]
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_accompaniment_is_the_mixture_minus_the_vocals(repo):
    """The accompaniment follows by subtraction: together with the vocals it is the mixture."""
    mixture = make_mixture(12)
    separation = isomix.separate(
        (mixture, SAMPLE_RATE), "bag", repo=repo, device="cpu", runtime="torch", stems=["vocals", "accompaniment"]
    )
    assert separation.options.stems == ("vocals",)
    assert np.allclose(separation["vocals"].array + separation["accompaniment"].array, mixture, atol=1e-6)


def test_cancel_leaves_no_file(repo, tmp_path):
    """A token used in the middle ends a separation to files without a trace."""
    cancel = isomix.CancelToken()

    def listen(event: isomix.Progress) -> None:
        if event.phase == "separate":
            cancel.cancel()

    mixture = (make_mixture(40), SAMPLE_RATE)
    with pytest.raises(SeparationCancelled):
        isomix.separate(
            mixture,
            "one",
            repo=repo,
            device="cpu",
            runtime="torch",
            output=tmp_path / "stems",
            progress=listen,
            cancel=cancel,
        )
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_a_folder_of_networks(repo, tmp_path, capsys):
    """`isomix separate --repo DIR -m NAME` separates with a network of the user's."""
    source = write(tmp_path / "mixture.wav", make_mixture(9))
    arguments = ["separate", str(source), "-m", "one", "--repo", str(repo), "-o", str(tmp_path / "out"), "-q"]
    arguments += ["--runtime", "torch"]
    assert main(arguments) == 0
    assert {path.stem for path in (tmp_path / "out" / "mixture").iterdir()} == set(STEMS)


def test_a_name_that_the_folder_lacks_is_unknown(repo):
    """A folder of networks does not make every name a model."""
    with pytest.raises(UnknownModel, match="no model 'three'"):
        isomix.separate((make_mixture(1), SAMPLE_RATE), "three", repo=repo)


def test_the_default_model_without_weights_tells_the_ways(tmp_path, monkeypatch):
    """Offline and without weights, the default model fails and names its files, folders, and models that need less."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME", "ISOMIX_WEIGHTS_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with pytest.raises(WeightsUnavailable) as error:
        isomix.separate((make_mixture(1), SAMPLE_RATE), offline=True)
    for word in ("htdemucs", "955717e8", "MB", "isomix models pull", "--repo DIR", "isomix models list", "hpss"):
        assert word in str(error.value), word


def test_imported_weights_are_found_without_their_folder(repo, tmp_path, capsys):
    """`isomix models import MODEL DIR` verifies a user's files and copies them to where they are found by name."""
    folder, store = tmp_path / "brought", tmp_path / "store"
    folder.mkdir()
    save_network(folder, "955717e8", "htdemucs", samplerate=44100)  # the signature that htdemucs consists of
    assert main(["models", "import", "htdemucs", str(folder), "--weights-dir", str(store)]) == 0
    with isomix.Separator("htdemucs", weights_dir=store, offline=True, device="cpu", runtime="torch") as separator:
        assert separator.separate((make_mixture(1), 44100))["vocals"].duration == pytest.approx(4000 / 44100)


def test_damaged_weights_are_not_imported(repo, tmp_path, capsys):
    """A file whose bytes do not match the checksum in its name is refused, and nothing is copied."""
    folder, store = tmp_path / "brought", tmp_path / "store"
    folder.mkdir()
    path = save_network(folder, "955717e8", "htdemucs", samplerate=44100)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert main(["models", "import", "htdemucs", str(folder), "--weights-dir", str(store)]) == 1
    assert "damaged" in capsys.readouterr().err
    assert not list(store.rglob("*.th"))
