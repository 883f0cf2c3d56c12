"""`make demo`, as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
FLOORS_DB = {"vocals": 5.2, "drums": 4.0, "bass": 2.0, "other": 1.5}
"""A little below what was measured, so that a broken stem shows and another FFT library's rounding does not."""


@pytest.mark.weights
def test_the_demo_separates_a_real_recording(tmp_path, spleeter_weights):
    """The demo writes four stems of the real clip, prints their SDR, and each is as good as it was measured to be."""
    command = [sys.executable, ROOT / "examples" / "demo.py"]
    shown = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    sdrs = {name: float(line.split()[-1]) for line in shown.splitlines() for name in FLOORS_DB if line.startswith(name)}
    assert sdrs.keys() == FLOORS_DB.keys()
    assert all(sdrs[name] >= floor for name, floor in FLOORS_DB.items()), sdrs
    assert re.search(r"null error -\d+\.\d dB", shown)
    for name in FLOORS_DB:
        assert soundfile.info(tmp_path / "demo-output" / "falcon" / f"{name}.wav").frames == 268288
