"""What a separation returns, to programs, notebooks and people."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import fsspec
import numpy as np
import pytest
import soundfile

import isomix
from isomix.errors import InvalidOptions, StorageError, UnknownStem
from isomix.result import StemAudio
from isomix.testing.engines import pass_through_spec

RATE = 44100
SPEC = pass_through_spec(stems=("vocals", "drums", "bass"))


def noise(samples: int = 20_000, channels: int = 2, peak: float = 0.5) -> np.ndarray:
    return np.random.default_rng(0).uniform(-peak, peak, (channels, samples)).astype(np.float32)


@pytest.fixture(params=["memory", "files"])
def separation(request, tmp_path) -> isomix.Separation:
    """Return vocals that are noise, silent drums and silent bass; in memory, and in float files."""
    output = None if request.param == "memory" else tmp_path / "stems"
    return isomix.separate((noise(), RATE), SPEC, output=output, encoding="float32")


def load(path: str | Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


def test_it_is_a_mapping_of_stems(separation):
    """Stems are found by name, in order, as in any mapping."""
    assert isinstance(separation, Mapping)
    assert list(separation) == list(SPEC.stems)
    assert len(separation) == 3
    assert "vocals" in separation
    assert "guitar" not in separation
    assert {name: stem.name for name, stem in separation.items()} == {name: name for name in SPEC.stems}


def test_an_unknown_stem_is_a_key_that_is_not_there(separation):
    """The error is a LookupError that names what there is; `get` gives None only to those who do not mind."""
    with pytest.raises(UnknownStem, match="vocals, drums, bass") as caught:
        separation["guitar"]
    assert isinstance(caught.value, LookupError)


def test_a_stem_knows_itself(separation):
    """A stem has its samples, rate and duration, and gives them in blocks too."""
    stem = separation["vocals"]
    np.testing.assert_array_equal(stem.array, noise())
    np.testing.assert_array_equal(np.concatenate(list(stem.blocks()), axis=1), noise())
    assert (stem.sample_rate, stem.duration) == (RATE, 20_000 / RATE)


@pytest.mark.parametrize("name", ["lead.wav", "lead.flac", "lead.mp3", "lead.ogg", "a.b.wav"])
def test_a_stem_is_saved_in_the_format_of_its_name(separation, tmp_path, name):
    """The ending chooses the format, the file has the name that was given, and the length is exact."""
    assert separation["vocals"].save(tmp_path / "new" / name) == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]
    info = soundfile.info(tmp_path / "new" / name)
    assert (info.frames, info.channels, info.samplerate) == (20_000, 2, RATE)


@pytest.mark.parametrize("name", ["lead", "lead.m4a", "lead.WAV", ".wav"])
def test_a_name_without_a_known_ending_is_refused(separation, tmp_path, name):
    """No format is guessed, and nothing is written."""
    with pytest.raises(InvalidOptions, match="wav, flac, mp3, ogg"):
        separation["vocals"].save(tmp_path / "new" / name)
    assert not (tmp_path / "new").exists()


def test_a_stem_can_be_saved_next_to_the_caller(separation, tmp_path, monkeypatch):
    """A bare name is a file in the current folder."""
    monkeypatch.chdir(tmp_path)
    separation["vocals"].save("lead.wav", encoding="float32")
    np.testing.assert_array_equal(load(tmp_path / "lead.wav"), noise())


@pytest.mark.parametrize("folder", ["memory://isomix-tests/saved/", "memory://"])
def test_a_stem_can_be_saved_to_a_url(separation, folder, tmp_path):
    """A stem goes to any fsspec URL."""
    url = f"{folder}{tmp_path.name}.wav"
    separation["vocals"].save(url, encoding="float32")
    with fsspec.open(url, "rb") as file:
        np.testing.assert_array_equal(load(file), noise())
    fsspec.filesystem("memory").rm(url.removeprefix("memory://"))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [0, 1])
def test_an_empty_stem_keeps_its_channels(tmp_path, channels, samples):
    """A mono stem is saved as mono, even without a sample."""
    isomix.separate((noise(samples, channels), RATE), SPEC)["vocals"].save(tmp_path / "x.wav")
    info = soundfile.info(tmp_path / "x.wav")
    assert (info.channels, info.frames) == (channels, samples)


def test_a_stem_that_would_clip_is_saved_lower(tmp_path):
    """Saving beyond full scale returns the gain that prevented clipping."""
    stem = isomix.separate((noise() * 4, RATE), SPEC)["vocals"]
    gain_db = stem.save(tmp_path / "x.wav")
    assert gain_db == pytest.approx(-20 * np.log10(np.abs(stem.array).max()))
    np.testing.assert_allclose(load(tmp_path / "x.wav"), stem.array * 10 ** (gain_db / 20), atol=2**-15)


def test_a_stem_that_cannot_be_saved_is_a_storage_error(separation, tmp_path):
    """Below a file nothing can be saved."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError):
        separation["vocals"].save(tmp_path / "file" / "x.wav")


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_all_stems_are_saved_together(separation, tmp_path, ending):
    """`save` writes every stem under its name and returns the separation as it is in the files."""
    saved = separation.save(tmp_path / "new", format=ending, encoding="int24")
    paths = {name: stem.path for name, stem in saved.items()}
    assert saved.gain_db == 0
    assert paths == {name: str(tmp_path / "new" / f"{name}.{ending}") for name in SPEC.stems}
    np.testing.assert_allclose(load(paths["vocals"]), noise(), atol=2**-23)
    assert not load(paths["bass"]).any()


def test_the_mix_of_all_is_the_mixture(separation):
    """Without wishes the stems sum to the mixture."""
    mix = separation.mix()
    np.testing.assert_array_equal(mix.array, noise())
    assert (mix.name, mix.sample_rate, mix.duration) == ("mix", RATE, 20_000 / RATE)


def test_a_mix_has_gains_mute_and_solo(separation):
    """Gains are in dB; muted stems are silent; if any is soloed, only soloed ones are heard."""
    np.testing.assert_allclose(separation.mix({"vocals": -20}).array, noise() / 10, rtol=1e-5)
    assert not separation.mix(mute=["vocals"]).array.any()
    assert not separation.mix(solo=["drums"]).array.any()
    np.testing.assert_array_equal(separation.mix(solo=["drums", "vocals"]).array, noise())


def test_a_mix_of_what_is_not_there_is_refused(separation):
    """A stem that does not exist cannot be mixed."""
    with pytest.raises(UnknownStem, match="guitar"):
        separation.mix({"guitar": 3})
    for gain in (float("nan"), float("inf"), 2000, "3"):
        with pytest.raises(InvalidOptions, match="-120 to 60"):
            separation.mix({"vocals": gain})
    with pytest.raises(InvalidOptions, match="list of names"):
        separation.mix(mute="drums")
    assert separation.get("guitar", 7) == 7


def test_every_fact_is_json(separation):
    """`to_dict` holds what was decided and measured, in values that strict JSON takes and gives back."""
    facts = separation.to_dict()
    assert json.loads(json.dumps(facts, allow_nan=False))["stems"] == {n: s.path for n, s in separation.items()}
    assert facts["null_error_db"] is None
    assert (facts["model"], facts["samples"], facts["channels"]) == ("pass-through", 20_000, 2)
    assert facts["options"]["stems"] == SPEC.stems


def test_options_are_facts_too():
    """Folders among the options become strings, and who listened is left out."""
    with isomix.Separator(SPEC, repo="here", overlap=0.25, progress=print) as separator:
        options = separator.separate((noise(), RATE)).to_dict()["options"]
    assert (options["repo"], options["overlap"]) == ("here", 0.25)
    assert "on_progress" not in options
    json.dumps(options)


def test_a_null_error_that_is_finite_is_told():
    """A real null error, in dB, is among the facts."""
    separation = isomix.separate((noise(), 48000), SPEC)
    assert separation.to_dict()["null_error_db"] == separation.null_error_db < 0


def test_people_get_a_few_lines(separation):
    """Each stem and where it is, then how long it took."""
    lines = separation.to_text().splitlines()
    assert [line.split()[0] for line in lines[:3]] == list(SPEC.stems)
    assert "0.5 s of audio" in lines[3]
    assert all((stem.path or "in memory") in line for stem, line in zip(separation.values(), lines, strict=False))


def test_people_are_told_of_a_gain(tmp_path):
    """If stems were lowered or a recording mixed down, the lines say so."""
    text = isomix.separate((noise(channels=6) * 9, RATE), SPEC, output=tmp_path).to_text()
    assert "all stems were lowered by" in text
    assert "6 channels were mixed down" in text


def test_a_notebook_shows_a_player_and_a_waveform_for_each_stem(separation):
    """The page has one audio player and one drawing per stem."""
    page = separation._repr_html_()
    assert page.count("<audio") == page.count("<svg") == page.count("<tr>") == 3


def test_a_player_plays_its_stem():
    """What the player holds is the stem, lowered to full scale if it is beyond."""
    tone = 4 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)[None]
    page = isomix.separate((tone, RATE), SPEC)._repr_html_()
    data = re.search(r"data:audio/ogg;base64,([^\"]+)", page)[1]
    played = load(io.BytesIO(base64.b64decode(data)))
    assert played.shape == (1, RATE)
    assert np.abs(played - tone / 4)[:, 2000:-2000].max() < 0.05


def test_players_keep_the_balance_of_the_stems():
    """If one stem is beyond full scale all are lowered by the same gain, so that they compare by ear."""
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)[None]
    page = isomix.separate((tone, RATE), "testing:loud")._repr_html_()
    players = re.findall(r"data:audio/ogg;base64,([^\"]+)", page)
    peaks = [np.abs(load(io.BytesIO(base64.b64decode(data))))[:, 2000:-2000].max() for data in players]
    np.testing.assert_allclose(peaks, [1, 0.25, 0.125, 0.125], atol=0.05)


def test_a_stem_and_a_mix_have_players_of_their_own(separation):
    """Each is shown as one row under its name; what is whole in the player has no word about a limit."""
    for stem in (separation["drums"], separation.mix()):
        page = stem._repr_html_()
        assert page.count("<audio") == page.count("<svg") == 1
        assert f"<th>{stem.name}</th>" in page
        assert "minutes" not in page


def test_a_player_that_holds_the_beginning_says_so():
    """Beyond two minutes the caption tells where the players end."""
    long = StemAudio("mix", 8000, 121.0, None, np.zeros((1, 121 * 8000), np.float32))
    assert "players hold the first 2 minutes" in long._repr_html_()


@pytest.mark.parametrize("samples", [0, 1, 599])
def test_a_notebook_shows_short_stems_too(samples):
    """Stems with fewer samples than the drawing has columns are shown."""
    page = isomix.separate((noise(samples), RATE), SPEC)._repr_html_()
    assert page.count("<svg") == 3
    assert page.count("<audio") == (3 if samples else 0)


def test_a_notebook_shows_what_no_player_plays():
    """At a rate that Ogg cannot hold there is a drawing and a word instead of a player."""
    page = isomix.separate((noise(1000), 384_000), SPEC)._repr_html_()
    assert page.count("<svg") == 3
    assert "no player at 384000 Hz" in page


@pytest.mark.slow
def test_a_notebook_survives_minutes():
    """Two minutes of stereo, more than libvorbis takes in one piece, do not end the process."""
    code = """
        import numpy as np
        from isomix.notebook import render_html

        noise = np.random.default_rng(0).uniform(-1, 1, (2, 120 * 44100)).astype("f4")
        assert render_html("x", {"vocals": (44100, iter([noise]))}).count("<audio") == 1
    """
    assert subprocess.run([sys.executable, "-c", "if True:" + code], check=False).returncode == 0


def test_a_notebook_is_not_tricked_by_names():
    """A model's name is text on the page, never markup."""
    page = isomix.separate((noise(100), RATE), attrs.evolve(SPEC, name="<script>alert(1)</script>"))._repr_html_()
    assert "<script>" not in page


def test_a_result_shows_no_samples_when_printed(separation):
    """`repr` is facts, not arrays."""
    assert len(repr(separation)) < 1500
    assert "array" not in repr(separation)
