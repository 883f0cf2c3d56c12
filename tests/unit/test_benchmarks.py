"""What the benchmarks compute from their figures is right; the figures themselves are nobody's test."""

import numpy as np
import pytest
import soundfile
from benchmarks.versus import agreement_db, summarise


def test_ratios_are_medians_of_rounds():
    """The ratio that is told is the median of each round's own, not the ratio of medians."""
    runs = [{"wall_seconds": s, "cpu_seconds": 1, "peak_bytes": 10, "real_time_factor": 1} for s in (1, 2, 4)]
    peers = [{"wall_seconds": s, "cpu_seconds": 1, "peak_bytes": 80, "real_time_factor": 1} for s in (10, 10, 100)]
    assert summarise(runs, peers)["speed_ratio"] == 10
    assert summarise(runs, peers)["peak_ratio"] == 8


def test_agreement_is_told_in_db(tmp_path):
    """A stem that is off by a tenth agrees to 20 dB; a folder agrees with itself without a figure."""
    for name, scale in (("one", 1.0), ("other", 1.1)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "vocals.wav", scale * 0.5 * np.ones((1000, 2)), 44100, subtype="FLOAT")
    assert agreement_db(tmp_path / "one", tmp_path / "other") == pytest.approx(20, abs=0.01)
    assert agreement_db(tmp_path / "one", tmp_path / "one") is None
