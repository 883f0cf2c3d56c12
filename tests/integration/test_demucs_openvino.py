"""Demucs' transformers in OpenVINO: the same output, faster, and only where that is known of the very weights."""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import pytest
from tiny_demucs import SAMPLE_RATE, STEMS, make_mixture, run_demucs, save_bag, save_network, snr_db

import isomix
from isomix.backends.demucs.running import make_test_signal, worst_error_db
from isomix.errors import InvalidOptions

if os.environ.get("CI") != "true":
    pytest.importorskip("openvino", reason="isomix[openvino] is not installed")

from isomix.runtime.openvino import has_bfloat16

REAL_SIZE = {
    "channels": 48,
    "depth": 4,
    "dconv_depth": 2,
    "t_layers": 5,
    "t_heads": 8,
    "bottom_channels": 512,
    "segment": Fraction(39, 5),
    "samplerate": 44100,
}


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """A user's folder: two transformers, their bag, and a network that is no transformer."""
    folder = tmp_path_factory.mktemp("repo")
    save_network(folder, "one", "htdemucs")
    save_network(folder, "two", "htdemucs", seed=1)
    save_network(folder, "older", "hdemucs")
    save_bag(folder, "bag", "models: ['one', 'two']\nweights: [[1, 1, 0, 1], [1, 0, 1, 2]]\n")
    save_bag(folder, "mixed", "models: ['one', 'older']\n")
    return folder


@pytest.fixture
def separate(repo, tmp_path):
    """Separate with a network of the folder; compiled networks are kept in a folder of the test's."""

    def separate(mixture, model, **choices):
        return isomix.separate((mixture, SAMPLE_RATE), model, repo=repo, weights_dir=tmp_path, **choices)

    return separate


def stack(separation):
    """All stems of a separation, in Demucs' order."""
    return np.stack([separation[stem].array for stem in STEMS])


@pytest.mark.parametrize("model", ["one", "bag"])
@pytest.mark.parametrize("seconds", [0.3, 20])
def test_float32_equals_demucs(model, seconds, repo, separate):
    """In float32, OpenVINO gives what Demucs gives in torch, for pieces shorter than a segment and for many."""
    mixture = make_mixture(seconds)
    separation = separate(mixture, model, runtime="openvino", precision="float32")
    assert (separation.runtime, separation.precision) == ("openvino", "float32")
    assert snr_db(run_demucs(repo, model, mixture), stack(separation)) >= 90


def test_one_stem_is_the_same_stem(separate):
    """Stems that nobody wants are not brought back into time, and the others do not change."""
    mixture = make_mixture(10)
    every = separate(mixture, "one", runtime="openvino", precision="float32")
    alone = separate(mixture, "one", runtime="openvino", precision="float32", stems=["bass"])
    assert np.array_equal(every["bass"].array, alone["bass"].array)


def test_a_second_start_converts_nothing(separate, tmp_path, monkeypatch):
    """A converted network is kept: what made it is not called again."""
    mixture = make_mixture(1)
    first = separate(mixture, "one", runtime="openvino", precision="float32")
    assert list((tmp_path / "openvino").glob("*.compiled"))
    monkeypatch.setattr("isomix.runtime.openvino._convert", None)
    second = separate(mixture, "one", runtime="openvino", precision="float32")
    assert np.array_equal(stack(first), stack(second))


def test_automatic_precision_is_what_was_measured_of_these_weights(separate, tmp_path):
    """``precision="auto"`` is bfloat16 only if these very weights were measured to lose less than the limit by it."""
    separation = separate(make_mixture(10), "one")
    assert separation.runtime == "openvino"
    kept = list((tmp_path / "openvino").glob("*.error"))
    if not has_bfloat16():
        assert (separation.precision, kept) == ("float32", [])
        return
    measured_db = float(kept[0].read_bytes()[:-32])
    assert separation.precision == ("bfloat16" if measured_db < -45 else "float32")


def test_networks_of_other_kinds_stay_in_torch(separate):
    """A bag of a transformer and an older network runs in both runtimes, and says so; to force it is refused."""
    separation = separate(make_mixture(5), "mixed", precision="float32")
    assert separation.runtime == "openvino + torch"
    with pytest.raises(InvalidOptions, match="OpenVINO cannot run mixed"):
        separate(make_mixture(5), "mixed", runtime="openvino")


def test_the_test_signal_is_music_like_and_normalised():
    """The signal that precision is measured on has zero mean and unit deviation, and energy in every octave."""
    signal = make_test_signal(2, 44100, 44100)[0]
    assert abs(signal.mean()) < 1e-3
    assert signal.std() == pytest.approx(1, abs=0.01)
    power = np.abs(np.fft.rfft(signal[0])) ** 2
    octaves = [power[low : 2 * low].mean() for low in (40, 80, 160, 320, 640, 1280, 2560, 5120, 10240)]
    assert min(octaves) > 1e-5 * max(octaves)


def test_the_worst_stem_counts():
    """The error is that of the stem that suffers most, against its own power."""
    reference = np.ones((2, 1, 100), np.float32)
    estimate = reference.copy()
    estimate[1] *= 1.1
    assert worst_error_db(reference, estimate) == pytest.approx(-20, abs=0.01)


def test_a_network_of_real_size_equals_demucs(tmp_path):
    """41 million parameters at 44.1 kHz: OpenVINO in float32 gives what Demucs gives."""
    save_network(tmp_path, "real", "htdemucs", **REAL_SIZE)
    mixture = make_mixture(8, sample_rate=44100)
    choices = {"repo": tmp_path, "weights_dir": tmp_path, "runtime": "openvino", "precision": "float32"}
    separation = isomix.separate((mixture, 44100), "real", **choices)
    assert snr_db(run_demucs(tmp_path, "real", mixture), stack(separation)) >= 90
