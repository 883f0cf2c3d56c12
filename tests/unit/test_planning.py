"""Plans: what will run, what is missing, what is refused, and figures that were measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tiny_demucs import SAMPLE_RATE, save_bag, save_network

import isomix
from isomix.audio.formats import FileFormat
from isomix.audio.overlap import OverlapAdd, Segmentation
from isomix.audio.sink import FileSink
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec
from isomix.errors import (
    EngineError,
    EngineUnavailable,
    InvalidOptions,
    IsomixError,
    SeparationFailed,
    WeightsUnavailable,
)
from isomix.planning.calibration import Calibration, describe_machine, find, keep
from isomix.planning.leaves import Leaf
from isomix.planning.measuring import Measured, count_others_seconds
from isomix.planning.needs import Setting, check_packages
from isomix.planning.networks import Network
from isomix.planning.rough import guess, measure_gflops
from isomix.plugins import installed

RATE = 44100


@pytest.fixture(autouse=True)
def empty_store(tmp_path, monkeypatch) -> Path:
    """Return a weights folder that does not exist yet."""
    monkeypatch.setenv("ISOMIX_WEIGHTS_DIR", str(tmp_path / "weights"))
    return tmp_path / "weights"


def silence(seconds: float, channels: int = 2, rate: int = RATE) -> tuple[np.ndarray, int]:
    """Return a recording of any length that takes no memory."""
    return np.broadcast_to(np.float32(0), (channels, round(seconds * rate))), rate


def test_nothing_is_run_loaded_or_written(tmp_path, empty_store):
    """A plan of a model whose weights are missing is made without them, and leaves no file."""
    plan = isomix.plan(silence(60), "spleeter:2stems", output=tmp_path / "stems")
    assert (plan.duration, plan.sample_rate, plan.channels) == (60.0, RATE, 2)
    assert plan.stems == ("vocals", "accompaniment")
    assert [network.count_segments(60.0) for network in plan.networks] == [6]
    assert plan.download_bytes == 78_614_080
    assert (plan.commercial_use, plan.estimate) == ("unknown", "rough")
    assert plan.seconds > 0
    assert plan.peak_bytes > 10**8
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "stems", "expected"),
    [
        ("hpss", None, [("hpss", ("drums", "bass", "other"))]),
        ("hpss", ["drums", "residual"], [("hpss", ("drums", "bass", "other"))]),
        ("spleeter+hpss", ["vocals"], [("spleeter:2stems", ("vocals",))]),
        ("spleeter+hpss", ["bass"], [("spleeter:2stems", ("accompaniment",)), ("hpss", ("bass",))]),
        ("spleeter:2stems", ["accompaniment"], [("spleeter:2stems", ("accompaniment",))]),
    ],
)
def test_only_what_the_wanted_stems_need_will_run(model, stems, expected):
    """Of a cascade the parts, of a model the stems that have to be computed."""
    networks = isomix.plan(silence(1), model, stems=stems).networks
    assert [(network.name, network.stems) for network in networks] == expected


def test_an_ensembles_members_are_planned():
    """Members without a weight in a wanted stem will not run."""
    ensemble = isomix.Ensemble({"testing:tiny": 1.0, "testing:loud": {"vocals": 1.0}})
    assert len(isomix.plan(silence(1), ensemble).networks) == 2
    plan = isomix.plan(silence(1), ensemble, stems=["bass"])
    assert [(network.model, network.stems) for network in plan.networks] == [("testing:tiny", ("bass",))]
    assert plan.model == "ensemble(testing:tiny, testing:loud)"


def test_a_bags_networks_are_planned(tmp_path):
    """Of a bag of Demucs' those networks will run that have a weight in a wanted stem."""
    for signature in ("aaaa", "bbbb"):
        save_network(tmp_path, signature, "hdemucs")
    save_bag(tmp_path, "pair", "{models: [aaaa, bbbb], weights: [[1, 1, 1, 0], [0, 0, 1, 1]]}")
    mixture = silence(10, rate=SAMPLE_RATE)
    plan = isomix.plan(mixture, "pair", repo=tmp_path, stems=["vocals"])
    assert [(network.name, network.stems) for network in plan.networks] == [("bbbb", ("vocals",))]
    assert plan.download_bytes == 0
    both = isomix.plan(mixture, "pair", repo=tmp_path, shifts=2)
    assert [(network.name, network.stems, network.passes) for network in both.networks] == [
        ("aaaa", ("drums", "bass", "other"), 2),
        ("bbbb", ("other", "vocals"), 2),
    ]
    assert both.separate_seconds is None  # nobody has said what these networks cost


@settings(deadline=None)
@given(
    samples=st.integers(0, 3000),
    length=st.integers(1, 300),
    share=st.floats(0, 0.99),
    lead=st.integers(0, 100),
)
def test_segments_are_counted_as_they_are_cut(samples, length, share, lead):
    """The plan counts the very segments, and their samples, that the pipe cuts."""
    cut = Segmentation(length=length, hop=1, lead=lead).with_overlap(share)
    pieces: list[int] = []

    def run(batch):
        pieces.append(batch.shape[-1])
        return batch[:, None]

    stream = OverlapAdd(run, cut, channels=1, stems=1)
    for _ in [*stream.push(np.zeros((1, samples), np.float32)), *stream.finish()]:
        pass
    network = Network(name="n", model="m", stems=("s",), segmentation=cut, sample_rate=1)
    if samples:
        assert network.count_segments(samples) == len(pieces)
        assert network.count_seconds(samples) == sum(pieces)
    assert network.count_segments(0) == 0


def test_a_short_last_piece_may_cost_less():
    """A network that does not fill pieces up is given only what is there."""
    cut = Segmentation(length=100, hop=50)
    network = Network(name="n", model="m", stems=("s",), segmentation=cut, sample_rate=10, pads=False)
    assert network.count_seconds(13.0) == 10.0 + 8.0 + 3.0
    assert attrs.evolve(network, passes=3).count_segments(13.0) == 3


FIXED = Segmentation(length=RATE, hop=RATE, window="sum")
REFUSED = {
    "unknown model": {"model": "no-such-model"},
    "unknown stem": {"stems": ["guitar"]},
    "stems as text": {"stems": "drums"},
    "unknown option": {"speed": 2},
    "option out of range": {"overlap": 2.0},
    "fixed overlap": {"model": attrs.evolve(installed().get_spec("hpss"), segmentation=FIXED), "overlap": 0.5},
    "no weights, offline": {"model": "spleeter:2stems", "offline": True},
    "no weights of a part": {"model": "spleeter+hpss", "offline": True},
    "no networks, offline": {"model": "htdemucs", "offline": True},
    "repo that is not there": {"model": "spleeter:2stems", "repo": "no-such-folder"},
    "licence": {"model": "spleeter:2stems", "licence": "commercial"},
    "format": {"format": "m4a"},
    "encoding": {"format": "flac", "encoding": "float32"},
    "rate": {"source": silence(0.1, rate=96_000), "format": "mp3"},
    "channels": {"source": silence(0.1, channels=3)},
    "no such file": {"source": "missing.wav"},
    "no audio": {"source": b"la la la"},
    "stream": {"source": "song.wav", "stream": 3},
}


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_what_separate_refuses_is_refused_now(arguments, tmp_path, monkeypatch, request):
    """The error is of the class that `separate` raises, with the same code and facts of the same names."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", np.zeros((1000, 2)), RATE)
    asked = {"source": silence(0.1), "model": "hpss", "output": tmp_path / "stems", **arguments}
    with pytest.raises(IsomixError) as planned:
        isomix.plan(**asked)
    with pytest.raises(IsomixError) as separated:
        isomix.separate(**asked)
    assert type(planned.value) is type(separated.value)
    if request.node.callspec.id != "repo that is not there":
        assert str(planned.value) == str(separated.value)
    assert not (tmp_path / "stems").exists()


@pytest.mark.parametrize("asked", [{"device": "cuda:99"}, {"device": "cpu", "precision": "float16"}])
def test_devices_that_are_not_there_are_refused_now(asked, spleeter_weights):
    """With the weights at hand, what the runtime refuses is refused in the same words."""
    asked = {"source": silence(0.1), "model": "spleeter:2stems", "weights_dir": spleeter_weights.parents[1], **asked}
    with pytest.raises(IsomixError) as planned:
        isomix.plan(**asked)
    with pytest.raises(IsomixError) as separated:
        isomix.separate(**asked)
    assert type(planned.value) is type(separated.value)
    assert str(planned.value) == str(separated.value)


def test_a_runtime_that_cannot_run_a_model_is_refused_before_its_weights_are_looked_for():
    """What the catalogue tells is enough: OpenVINO does not run Demucs' older networks."""
    with pytest.raises(InvalidOptions, match="OpenVINO cannot run hdemucs_mmi"):
        isomix.plan(silence(1), "hdemucs_mmi", runtime="openvino")


def test_packages_that_are_missing_are_named():
    """A model whose extra is not installed says what to install; one whose module is gone says so."""
    spec = attrs.evolve(installed().get_spec("hpss"), factory="no_such_package.engine:open")
    with pytest.raises(EngineUnavailable, match=r"there is no module no_such_package\.engine"):
        isomix.plan(silence(1), spec)
    here = attrs.evolve(installed().get_spec("hpss"), extra="spleeter")
    check_packages(Leaf(here, EngineOptions()))


def test_stems_in_memory_count():
    """Without an output the stems, and the residual that is kept with them, are part of the memory."""
    short, long = (isomix.plan(silence(seconds), "hpss") for seconds in (10, 20))
    assert short.output_bytes == 4 * 2 * 4 * RATE * 10
    assert long.peak_bytes - short.peak_bytes == 4 * 2 * 4 * RATE * 10


@pytest.mark.parametrize("encoding", ["int16", "int24", "float32"])
def test_the_size_of_wav_is_exact(tmp_path, encoding):
    """What is written is as large as was planned, but for a header."""
    source = (np.random.default_rng(0).uniform(-0.1, 0.1, (2, 50_000)).astype(np.float32), RATE)
    arguments = {"model": "hpss", "output": tmp_path / "stems", "encoding": encoding}
    plan = isomix.plan(source, **arguments)
    isomix.separate(source, **arguments)
    written = sum(path.stat().st_size for path in (tmp_path / "stems").iterdir())
    assert 0 <= written - plan.output_bytes < 3 * 200


@pytest.mark.parametrize("encoding", ["int16", "float32"])
def test_the_room_on_the_disk_is_what_files_take_while_they_are_made(tmp_path, encoding):
    """When all is encoded and nothing published, the folder is as large as planned, the kept samples among it."""
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 50_000)).astype(np.float32)
    plan = isomix.plan((noise, RATE), "hpss", output=tmp_path, encoding=encoding)
    names, file_format = plan.stems, FileFormat.of("wav", encoding)
    with FileSink(tmp_path, names, file_format, sample_rate=RATE, channels=2, expected_samples=50_000) as sink:
        sink.write(dict.fromkeys(names, noise))
        sink.peaks  # noqa: B018 - waits until all is encoded
        held = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 0 <= held - plan.disk_bytes < 3 * 200
    assert f"({plan.disk_bytes / 1e6:.1f} MB while" in plan.to_text() or encoding == "float32"


@pytest.mark.parametrize("name", ["flac", "mp3", "ogg"])
def test_the_size_of_compressed_formats_is_of_the_right_order(tmp_path, name):
    """Compressed stems of noise are within a factor of three of what was planned."""
    source = (np.random.default_rng(0).uniform(-0.3, 0.3, (2, 10 * RATE)).astype(np.float32), RATE)
    arguments = {"model": "hpss", "output": tmp_path / "stems", "format": name}
    plan = isomix.plan(source, **arguments)
    isomix.separate(source, **arguments)
    written = sum(path.stat().st_size for path in (tmp_path / "stems").iterdir())
    assert written / 3 < plan.output_bytes < written * 3


def test_shortages_and_surprises_are_warnings(tmp_path):
    """More than there is of disk or memory, and surround sound, are told."""
    endless = silence(10**8)
    assert "are free on the disk" in isomix.plan(endless, "hpss", output=tmp_path / "stems").warnings[-1]
    assert "of memory are needed" in isomix.plan(endless, "hpss").warnings[-1]
    assert "6 channels will be mixed down to 2" in isomix.plan(silence(1, channels=6), "hpss").warnings[0]


def test_a_plan_is_for_people_and_programs():
    """Its text tells every kind of fact in a line, its dictionary is JSON; what is unknown is said to be."""
    plan = isomix.plan(silence(60), "spleeter+hpss", shifts=2)
    text = plan.to_text()
    assert [line.split()[0] for line in text.splitlines() if line[0] != " "] == (
        ["model", "recording", "networks", "runs", "time", "memory", "download", "licence", "output"]
    )
    assert "12 segments of 5.9 s, 2 passes" in text
    facts = json.loads(json.dumps(plan.to_dict()))
    assert facts["networks"][1]["segments"] == 12
    assert facts["seconds"] == pytest.approx(plan.load_seconds + plan.separate_seconds)
    blank = attrs.evolve(plan, duration=None, separate_seconds=None, peak_bytes=None, output_bytes=None, device=None)
    assert blank.seconds is None
    assert blank.to_text().count("unknown") == 4 + text.count("unknown")
    assert blank.to_dict()["networks"][1]["segments"] is None


MEASURED = Measured(
    load_seconds=2.0,
    cold=(10.0, 6.5),
    short=(2.0, 1.5),
    long=(20.0, 10.5),
    peak_bytes=1000,
    device="cpu",
    runtime="numpy",
    precision="float32",
)


def test_a_line_is_fitted_to_what_was_measured():
    """Load, fixed cost and slope come out of runs that lie on a line; stems in memory are not part of the peak."""
    fitted = Calibration.of({}, MEASURED, lambda duration: 2 * duration, 10)
    assert (fitted.seconds_per_second, fitted.fixed_seconds, fitted.peak_bytes) == (0.25, 1.5, 800)


@pytest.mark.slow
def test_a_busy_machine_is_told(empty_store):
    """A calibration that other programs disturbed is used, with a warning, and remembered as such."""
    quiet = isomix.plan(silence(5), "testing:tiny", calibrate=True)
    assert quiet.estimate == "calibrated"
    (path,) = (empty_store / "calibration").iterdir()
    facts = json.loads(path.read_bytes()[:-32])["facts"]
    for others_cpus, warned in ((0.0, False), (1.5, True)):
        keep(empty_store, Calibration.of(facts, attrs.evolve(MEASURED, others_cpus=others_cpus), lambda _: 1.0, 0))
        warnings = isomix.plan(silence(5), "testing:tiny").warnings
        assert any("other programs were busy" in warning for warning in warnings) is warned


def test_others_work_is_counted():
    """What other processes compute is counted, and what this one computes is not."""
    before = count_others_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    assert count_others_seconds() - before > 0.4


def test_guesses_follow_the_catalogue():
    """A model that states twice the cost is guessed to take twice the time; one that states none is not guessed."""
    spec = installed().get_spec("hpss")
    network = Network(name="hpss", model="hpss", stems=("drums",), segmentation=spec.segmentation, sample_rate=RATE)
    setting = Setting("cpu", "scipy", "float32")

    def times(cost: float | None) -> float | None:
        leaf = Leaf(attrs.evolve(spec, cpu_cost=cost), EngineOptions())
        rough = guess([leaf], [network], [setting])
        return None if rough is None else rough.seconds_per_second

    assert times(None) is None
    assert times(1000.0) > 10 * times(1.0)
    assert measure_gflops() > 0


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory) -> tuple[Path, isomix.EngineSpec]:
    """Return a weights folder with a calibration of an engine that sleeps 50 ms for each second of audio."""
    store = tmp_path_factory.mktemp("calibrated")
    plan = isomix.plan(silence(5), "testing:slow-50ms", weights_dir=store, calibrate=True)
    assert plan.estimate == "calibrated"
    return store


@pytest.mark.slow
def test_what_was_measured_is_known_later(calibrated):
    """A later plan of another length is calibrated, never below what the engine really sleeps, and tells the device."""
    plans = [isomix.plan(silence(seconds), "testing:slow-50ms", weights_dir=calibrated) for seconds in (100, 1100)]
    assert [plan.estimate for plan in plans] == ["calibrated"] * 2
    assert plans[1].separate_seconds - plans[0].separate_seconds > 0.8 * 0.05 * 1000
    assert (plans[0].device, plans[0].runtime, plans[0].precision) == ("cpu", "numpy", "float32")
    assert plans[0].peak_bytes > 10**7


@pytest.mark.slow
def test_other_stems_are_guessed_from_the_nearest(calibrated):
    """A calibration of the same model for other stems is better than none, but rough; of another model it is none."""
    near = isomix.plan(silence(100), "testing:slow-50ms", stems=["bass"], weights_dir=calibrated)
    assert near.estimate == "rough"
    assert near.separate_seconds > 0.8 * 0.05 * 100
    assert isomix.plan(silence(100), "testing:tiny", weights_dir=calibrated).separate_seconds is None


@pytest.mark.slow
def test_only_the_calibration_folder_is_written(calibrated):
    """One small file is all that calibrating leaves; damaged, it is as good as absent."""
    (kept,) = (path for path in calibrated.rglob("*") if path.is_file())
    assert kept.parent == calibrated / "calibration"
    assert kept.stat().st_size < 4096
    whole = kept.read_bytes()
    try:
        kept.write_bytes(whole[:-1] + b"x")
        assert isomix.plan(silence(5), "testing:slow-50ms", weights_dir=calibrated).separate_seconds is None
    finally:
        kept.write_bytes(whole)


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    """The plan is calibrated all the same; the next one has to measure again."""
    (tmp_path / "file").write_text("mine")
    store = tmp_path / "file" / "weights"
    assert isomix.plan(silence(1), "testing:tiny", weights_dir=store, calibrate=True).estimate == "calibrated"
    assert isomix.plan(silence(1), "testing:tiny", weights_dir=store).estimate == "rough"


def test_an_engine_that_fails_says_so_when_it_is_measured():
    """What separating raises, calibrating raises; a process that dies is an `EngineError`."""
    with pytest.raises(SeparationFailed, match="out of memory, as it was asked for"):
        isomix.plan(silence(1), "testing:failing", calibrate=True)
    with pytest.raises(EngineError, match="could not be measured"):
        isomix.plan(silence(1), "testing:killer", calibrate=True)


@pytest.mark.slow
def test_plugins_of_the_asking_process_are_found(tmp_path, monkeypatch):
    """An engine that only this process's path leads to can be measured."""
    (tmp_path / "my_engine.py").write_text("from isomix.testing.engines import PassThroughEngine as Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    cut = Segmentation(length=RATE, hop=RATE)
    spec = EngineSpec(name="mine", stems=("copy",), factory="my_engine:Mine", segmentation=cut)
    assert isomix.plan(silence(1), spec, calibrate=True).estimate == "calibrated"


def test_a_machine_is_plain_values(empty_store):
    """What tells machines apart can be written as JSON, and nothing is found in an empty folder."""
    machine = describe_machine()
    assert json.loads(json.dumps(machine)) == machine
    assert machine["threads"] >= 1
    assert find(empty_store, {"machine": machine}) is None


def test_weights_that_are_missing_are_told_by_the_part():
    """Offline, a cascade's error names the part whose weights are missing."""
    with pytest.raises(WeightsUnavailable, match=r"spleeter:2stems"):
        isomix.plan(silence(1), "spleeter+hpss", offline=True)
