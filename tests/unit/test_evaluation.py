"""`isomix.evaluation`: figures of signals whose figures are known, refusals, hints, the command."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import isomix
from isomix import evaluation
from isomix.audio.blocks import Audio
from isomix.cli import main
from isomix.errors import EngineUnavailable, InvalidOptions, ObjectNotFound
from isomix.evaluation import evaluate, inspect_stems
from isomix.evaluation.bss import _import_metrics

RATE = 8000
STEMS = ("vocals", "drums", "bass", "other")


def noise(seed: int, samples: int = 3 * RATE, channels: int = 2) -> Audio:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, (channels, samples)).astype(np.float32)


def one(reference: Audio, estimate: Audio, *, bss_eval: bool = False) -> evaluation.StemScores:
    return evaluate({"vocals": (reference, RATE)}, {"vocals": (estimate, RATE)}, bss_eval=bss_eval).stems["vocals"]


def save(folder: Path, ending: str = "flac", **stems: Audio) -> Path:
    folder.mkdir(exist_ok=True)
    for name, audio in stems.items():
        soundfile.write(folder / f"{name}.{ending}", audio.T, RATE)
    return folder


def sdr(reference: Audio, estimate: Audio) -> float:
    wanted, given = reference.astype(float), estimate.astype(float)
    return 10 * float(np.log10((wanted**2).sum() / ((wanted - given) ** 2).sum()))


def test_a_tenth_of_the_amplitude_missing_is_20_db() -> None:
    """Scaling by 0.9 costs SDR 20 dB, and SI-SDR nothing."""
    scores = one(noise(0), noise(0) * np.float32(0.9))
    assert scores.sdr_db == pytest.approx(20, abs=1e-3)
    assert scores.si_sdr_db > 100


def test_orthogonal_noise_has_the_same_sdr_and_si_sdr() -> None:
    """An added signal that is orthogonal to the reference, at a tenth of its amplitude, is 20 dB in both."""
    reference = np.tile(np.float32([[0.5, 0.5, -0.5, -0.5]]), RATE)
    scores = one(reference, reference + np.tile(np.float32([[0.05, -0.05, 0.05, -0.05]]), RATE))
    assert scores.sdr_db == pytest.approx(20, abs=1e-4)
    assert scores.si_sdr_db == pytest.approx(20, abs=1e-4)


def test_one_factor_scales_all_channels() -> None:
    """A stem that is panned is not forgiven by SI-SDR: half the energy is right and cannot be scaled to fit."""
    reference = np.repeat(noise(1, channels=1), 2, axis=0)
    panned = reference * np.float32([[1], [0]])
    assert one(reference, panned).si_sdr_db == pytest.approx(0, abs=1e-4)


def test_a_copy_has_the_highest_figure() -> None:
    """An exact copy is 120 dB, a number that JSON can hold, by every measure that has no filter."""
    scores = one(noise(2), noise(2))
    assert scores.sdr_db == scores.si_sdr_db == 120


def test_silence_is_told_without_nan() -> None:
    """A silent reference has no figure and says so; a silent estimate has SDR 0 dB and no SI-SDR."""
    silence = np.zeros_like(noise(0))
    found = evaluate({"vocals": (silence, RATE)}, {"vocals": (noise(0), RATE)}, bss_eval=True)
    assert found.stems["vocals"] == evaluation.StemScores(sdr_db=None, si_sdr_db=None)
    assert found.notes == ("the reference vocals is silent",)
    assert found.mean_sdr_db is None
    missed = one(noise(0), silence, bss_eval=True)
    assert missed == evaluation.StemScores(sdr_db=0.0, si_sdr_db=None)


def test_an_empty_recording_has_no_figures() -> None:
    """Recordings without a sample give no figure and no error, also of BSS Eval."""
    empty = np.zeros((2, 0), np.float32)
    assert one(empty, empty, bss_eval=True) == evaluation.StemScores(sdr_db=None, si_sdr_db=None)


def test_blocks_change_nothing(tmp_path: Path) -> None:
    """Recordings that decoders give in many blocks have the figures of the whole."""
    reference, estimate = noise(3, 20 * RATE + 123), noise(4, 20 * RATE + 123)
    left = save(tmp_path / "left", vocals=reference)
    assert one(reference, estimate).sdr_db == pytest.approx(sdr(reference, estimate), abs=1e-9)
    found = evaluate(left, {"vocals": (estimate, RATE)})
    assert found.stems["vocals"].sdr_db == pytest.approx(sdr(reference, estimate), abs=1e-3)
    assert found.duration == pytest.approx(20 + 123 / RATE)


def test_bss_eval_is_musevals() -> None:
    """BSS Eval's SDR is the median over seconds of the plain SDR, and interference is seen as such."""
    vocals, drums = noise(5, channels=1), noise(6, channels=1)
    estimates = {"vocals": (vocals + np.float32(0.1) * drums, RATE), "drums": (drums, RATE)}
    found = evaluate({"vocals": (vocals, RATE), "drums": (drums, RATE)}, estimates, bss_eval=True)
    seconds = [slice(start, start + RATE) for start in range(0, 3 * RATE, RATE)]
    expected = np.median([sdr(vocals[:, second], estimates["vocals"][0][:, second]) for second in seconds])
    figures = found.stems["vocals"].bss_eval
    assert figures is not None
    assert figures.sdr_db == pytest.approx(expected, abs=1e-6)
    assert figures.sir_db == pytest.approx(20, abs=0.5)
    assert figures.sar_db > 60
    assert found.stems["drums"].bss_eval.sdr_db == 120
    assert "v4 SIR" in found.to_text()


def test_a_silent_estimate_leaves_the_other_figures_alone() -> None:
    """BSS Eval of a stem is the same whether another estimate is silent or good; the silent one has none."""
    wanted = {"vocals": (noise(5, channels=1), RATE), "drums": (noise(6, channels=1), RATE)}
    vocals = (wanted["vocals"][0] + np.float32(0.1) * wanted["drums"][0], RATE)
    silence = (np.zeros_like(vocals[0]), RATE)
    good = evaluate(wanted, {"vocals": vocals, "drums": wanted["drums"]}, bss_eval=True)
    bad = evaluate(wanted, {"vocals": vocals, "drums": silence}, bss_eval=True)
    assert bad.stems["vocals"] == good.stems["vocals"]
    assert bad.stems["drums"].bss_eval is None


def test_bss_eval_without_museval_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where museval is not installed, asking for BSS Eval says what to install."""
    _import_metrics.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailable, match=r"isomix\[evaluate\]"):
        one(noise(0), noise(1), bss_eval=True)


def test_the_accompaniment_is_the_sum_of_the_others() -> None:
    """Two stems are judged by four references: the accompaniment's is the sum of all but the vocals."""
    references = {name: (noise(seed), RATE) for seed, name in enumerate(STEMS)}
    rest = sum(references[name][0] for name in STEMS[1:])
    found = evaluate(references, {"vocals": references["vocals"], "accompaniment": (rest * np.float32(0.9), RATE)})
    assert found.stems["accompaniment"].sdr_db == pytest.approx(20, abs=1e-3)
    assert found.notes == ("the reference of accompaniment is the sum of drums, bass, other",)


def test_beside_its_parts_the_accompaniment_has_no_bss_eval() -> None:
    """References that are sums of each other would make interference meaningless: only the parts are judged."""
    stems = {name: (noise(seed, channels=1), RATE) for seed, name in enumerate(("vocals", "drums"))}
    found = evaluate(stems, {**stems, "accompaniment": stems["drums"]}, bss_eval=True)
    assert found.stems["accompaniment"].bss_eval is None
    assert found.stems["drums"].bss_eval is not None


def test_folders_are_matched_by_name(tmp_path: Path) -> None:
    """Stems pair by name whatever the format; what has no counterpart is told, mixture and other files are not."""
    left = save(tmp_path / "left", "wav", vocals=noise(0), bass=noise(1), mixture=noise(2))
    right = save(tmp_path / "right", vocals=noise(0), guitar=noise(3))
    (right / "notes.txt").write_text("not audio")
    found = evaluate(left, str(right))
    assert list(found.stems) == ["vocals"]
    assert found.notes == ("bass has no estimate", "guitar has no reference")


def test_a_separation_can_be_judged() -> None:
    """What `isomix.separate` returns is taken as it is, for figures and for hints."""
    mixture = (noise(0, 2 * RATE), RATE)
    separation = isomix.separate(mixture, model="hpss")
    found = evaluate(separation, separation)
    assert {scores.sdr_db for scores in found.stems.values()} == {120}
    hints = inspect_stems(mixture, separation)
    assert hints.null_error_db == pytest.approx(separation.null_error_db, abs=1e-3)
    assert set(hints.stems) == set(separation)


def test_a_codecs_padding_is_borne() -> None:
    """A tail of a few hundredths of a second more counts as it is, against silence."""
    reference = noise(0)
    tail = np.concatenate([reference, np.zeros((2, RATE // 20), np.float32)], axis=1)
    assert one(reference, tail).sdr_db == one(tail, reference).sdr_db == 120


@pytest.mark.parametrize(
    ("estimate", "rate", "option"),
    [
        (noise(0, 2 * RATE), RATE, "duration"),
        (noise(0, 0), RATE, "duration"),
        (noise(0), RATE // 2, "sample_rate"),
        (noise(0, channels=1), RATE, "channels"),
    ],
)
def test_what_cannot_be_compared_is_refused(estimate: Audio, rate: int, option: str) -> None:
    """Another length, sample rate or channel count is an error that names both recordings, in either order."""
    pair = {"vocals": (noise(0), RATE)}, {"vocals": (estimate, rate)}
    for references, estimates in (pair, pair[::-1]):
        with pytest.raises(InvalidOptions, match=r"the (reference|estimate) vocals .*the (reference|estimate)") as told:
            evaluate(references, estimates)
        assert told.value.facts["option"] == option


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """No folder, no audio, no common stem, one stem twice: each is refused in words of its own."""
    left = save(tmp_path / "left", vocals=noise(0))
    with pytest.raises(ObjectNotFound, match="is not a folder"):
        evaluate(left, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidOptions, match="holds no audio"):
        evaluate(left, tmp_path / "empty")
    with pytest.raises(InvalidOptions, match="no stem is in both: references vocals; estimates bass"):
        evaluate(left, {"bass": (noise(0), RATE)})
    save(left, "wav", vocals=noise(0))
    with pytest.raises(InvalidOptions, match="are both vocals"):
        evaluate(left, left)


def test_good_stems_give_no_warning() -> None:
    """Stems that sum to the mixture and are none of the faults are measured and pass."""
    vocals, drums = noise(0), noise(1)
    drums[:, : len(drums[0]) // 3] = 0
    stems = {"vocals": (vocals, RATE), "drums": (drums, RATE), "accompaniment": (drums, RATE)}
    hints = inspect_stems((vocals + drums, RATE), stems)
    assert hints.null_error_db < -100
    assert hints.warnings == ()
    assert hints.stems["drums"].silence_ratio == pytest.approx(1 / 3)
    assert hints.stems["vocals"].silence_ratio == 0
    assert hints.stems["vocals"].mixture_si_sdr_db == pytest.approx(1.76, abs=0.1)  # 0.6 / 0.4


def test_plain_faults_are_warned_of() -> None:
    """The mixture for a stem, even scaled, silence, full scale and a bad sum are each seen, with numbers."""
    mixture = noise(0)
    loud = noise(1)
    loud[:, :5] = 1.0
    silence = np.zeros_like(mixture)
    stems = {"vocals": (mixture * np.float32(0.25), RATE), "bass": (silence, RATE), "drums": (loud, RATE)}
    hints = inspect_stems((mixture, RATE), stems)
    assert [name for name, stem in hints.stems.items() if stem.equals_mixture] == ["vocals"]
    assert hints.stems["bass"].mixture_si_sdr_db is None
    assert hints.stems["bass"].silence_ratio == 1
    assert hints.stems["drums"].clipped_samples == 10
    assert [warning.split(":")[0] for warning in hints.warnings] == [
        "the stems do not sum to the mixture",
        "vocals equals the mixture",
        "bass is silent throughout",
        "drums is clipped, or beyond full scale",
    ]


def test_the_null_error_is_the_missing_share() -> None:
    """A stem of 0.9 times the mixture leaves a tenth of the amplitude: -20 dB."""
    hints = inspect_stems((noise(0), RATE), {"vocals": (noise(0) * np.float32(0.9), RATE)})
    assert hints.null_error_db == pytest.approx(-20, abs=1e-3)


def test_plots_own_nothing_global() -> None:
    """Plots are figures with a bar for each figure that is there; pyplot is not even imported by them."""
    already = "matplotlib.pyplot" in sys.modules
    found = evaluate({name: (noise(0), RATE) for name in STEMS}, {name: (noise(1), RATE) for name in STEMS})
    (axes,) = found.plot().axes
    assert len(axes.patches) == 2 * len(STEMS)
    alike, silent = inspect_stems((noise(0), RATE), {"vocals": (noise(1), RATE)}).plot().axes
    assert (len(alike.patches), len(silent.patches)) == (1, 1)
    assert ("matplotlib.pyplot" in sys.modules) == already


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where matplotlib is not installed, plotting says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = evaluate({"vocals": (noise(0), RATE)}, {"vocals": (noise(1), RATE)})
    with pytest.raises(EngineUnavailable, match=r"isomix\[evaluate\]"):
        found.plot()


def test_the_command_tells_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`isomix evaluate` prints a table or one JSON object, and draws a chart where it is told to."""
    left, right = save(tmp_path / "left", vocals=noise(0)), save(tmp_path / "right", vocals=noise(0) * np.float32(0.9))
    assert main(["evaluate", str(left), str(right), "--plot", str(tmp_path / "scores.png")]) == 0
    assert "20.00" in capsys.readouterr().out
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert main(["evaluate", str(left), str(right), "--json", "--bss-eval"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["stems"]["vocals"]["bss_eval"]["sdr_db"] == pytest.approx(20, abs=0.01)
    assert told["mean_sdr_db"] == told["stems"]["vocals"]["sdr_db"]


def test_the_command_gives_hints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`isomix evaluate --hints MIXTURE DIR` warns; BSS Eval and odd chart names are refused with exit code 2."""
    right = save(tmp_path / "right", vocals=noise(0))
    mixture = str(save(tmp_path / "song", mixture=noise(0)) / "mixture.flac")
    assert main(["evaluate", "--hints", mixture, str(right)]) == 0
    assert "warning: vocals equals the mixture" in capsys.readouterr().out
    assert main(["evaluate", "--hints", mixture, str(right), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stems"]["vocals"]["equals_mixture"] is True
    assert main(["evaluate", "--hints", mixture, str(right), "--bss-eval"]) == 2
    assert main(["evaluate", "--hints", mixture, str(right), "--plot", str(tmp_path / "a.odd")]) == 2
    assert "cannot be drawn" in capsys.readouterr().err


@pytest.mark.reference
def test_figures_of_the_reference_clip(reference: Path) -> None:
    """On real music the figures are those that its README states; true stems give no alarm, the mixture does."""
    clip = reference / "80srock"
    found = evaluate(clip, {"vocals": clip / "mixture.flac"})
    assert found.stems["vocals"].sdr_db == pytest.approx(-1.62, abs=0.005)
    deezer = np.load(reference / "spleeter" / "80srock_2stems.npz")
    found = evaluate(clip, {name: (deezer[name], 44100) for name in ("vocals", "accompaniment")})
    assert found.stems["vocals"].sdr_db == pytest.approx(11.23, abs=0.005)
    assert found.stems["accompaniment"].sdr_db == pytest.approx(12.85, abs=0.005)
    assert not any(stem.equals_mixture for stem in inspect_stems(clip / "mixture.flac", clip).stems.values())
    assert inspect_stems(clip / "mixture.flac", {"vocals": clip / "mixture.flac"}).stems["vocals"].equals_mixture


def test_a_shared_gain_is_told_as_such() -> None:
    """Stems that were lowered together are said to sum to the mixture at that level, and SDR says what it counts."""
    parts = {"vocals": noise(0), "drums": noise(1)}
    mixture = sum(parts.values())
    lowered = {name: (part * np.float32(10 ** (-4.46 / 20)), RATE) for name, part in parts.items()}
    hints = inspect_stems((mixture, RATE), lowered)
    assert hints.level_db == pytest.approx(-4.46, abs=0.01)
    assert hints.warnings == ("the stems sum to the mixture at -4.46 dB: they share a gain",)
    found = evaluate({name: (part, RATE) for name, part in parts.items()}, lowered)
    assert found.notes == ("all estimates have another level than the references: SDR counts that, SI-SDR does not",)


def test_a_peak_at_full_scale_is_not_clipping() -> None:
    """One or two samples at full scale are a peak that fits; three in a row, or one beyond it, are counted."""
    stem = noise(0)
    stem[0, 10:12] = 1.0
    assert inspect_stems((stem, RATE), {"drums": (stem, RATE)}).stems["drums"].clipped_samples == 0
    stem[0, 10:13], stem[1, 5] = 1.0, 1.5
    assert inspect_stems((stem, RATE), {"drums": (stem, RATE)}).stems["drums"].clipped_samples == 4
