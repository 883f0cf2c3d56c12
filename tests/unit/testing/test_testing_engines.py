"""The engines that any process can name."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from isomix.domain.options import EngineOptions
from isomix.errors import SeparationFailed, UnknownModel
from isomix.plugins import GROUP, Registry, discover
from isomix.separation import Separator, separate
from isomix.testing.engines import find_testing_spec

RATE = 44100


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Return what the plugin alone offers, found by its entry point."""
    return discover([EntryPoint("testing", "isomix.testing.plugin", GROUP)])


def whole_numbers(samples: int) -> np.ndarray:
    """Return what a recording of 16 bits holds."""
    integers = np.random.default_rng(0).integers(-(2**15), 2**15, (2, samples))
    return (integers / 2**15).astype(np.float32)


def spec(name: str):
    found = find_testing_spec(f"testing:{name}")
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["tiny", "slow", "slow-200ms", "slow-0ms", "failing", "killer", "stuck", "loud"])
def test_each_can_be_named_and_none_is_listed(registry, name):
    """The plugin works, lists nothing and finds each of its engines."""
    assert not registry.broken
    assert registry.list_specs() == []
    assert registry.get_spec(f"testing:{name}", EngineOptions()).name == f"testing:{name}"


@pytest.mark.parametrize("name", ["testing:", "testing:fast", "testing:tiny-20ms", "testing:slow-ms", "tiny", "hpss"])
def test_other_names_are_not_its_own(registry, name):
    """What is not one of the engines stays unknown."""
    with pytest.raises(UnknownModel):
        registry.get_spec(name, EngineOptions())


@pytest.mark.parametrize("name", ["tiny", "loud", "slow-1ms"])
@pytest.mark.parametrize("samples", [1, 1000, 3 * RATE + 5])
def test_stems_are_fractions_that_sum_to_the_mixture(name, samples):
    """Each stem is its fraction of the mixture, and of 16-bit recordings all sum to it bit for bit."""
    mixture = whole_numbers(samples)
    separation = separate((mixture, RATE), spec(name))
    fractions = (2, -0.5, -0.25, -0.25) if name == "loud" else (0.5, 0.25, 0.125, 0.125)
    for stem, fraction in zip(("vocals", "drums", "bass", "other"), fractions, strict=True):
        np.testing.assert_array_equal(separation[stem].array, mixture * np.float32(fraction))
    assert separation.null_error_db == -np.inf


def test_some_stems_alone():
    """A subset has the fractions of its own names."""
    separation = separate((np.ones((2, 100), np.float32), RATE), spec("tiny"), stems=["other", "drums"])
    assert [stem.array[0, 0] for stem in separation.values()] == [0.125, 0.25]


def test_loud_stems_share_a_gain(tmp_path):
    """Written to files that clip, the loud engine's stems are lowered together."""
    separation = separate((np.ones((2, 100), np.float32), RATE), spec("loud"), output=tmp_path)
    assert separation.gain_db == pytest.approx(20 * np.log10(0.5))


def test_slow_takes_its_time():
    """A segment takes at least as long as the name says."""
    started = time.monotonic()
    separate((np.zeros((2, 2 * RATE), np.float32), RATE), spec("slow-200ms"))
    assert time.monotonic() - started >= 0.4


def test_failing_passes_two_segments_of_every_recording():
    """The third segment fails, in the first recording and in the next of the same engine."""
    with Separator(spec("failing")) as separator:
        for _ in range(2):
            separator.separate((np.zeros((2, 2 * RATE), np.float32), RATE))
            with pytest.raises(SeparationFailed, match="MemoryError"):
                separator.separate((np.zeros((2, 3 * RATE), np.float32), RATE))


CHILD = """
import sys
import numpy as np
from isomix.separation import Separator
from isomix.testing.engines import find_testing_spec

with Separator(find_testing_spec(sys.argv[1])) as separator:
    for block in separator.stream((np.zeros((2, 3 * 44100), np.float32), 44100)):
        print(block.start, flush=True)
"""


def test_the_killer_kills_at_the_second_segment():
    """The first segment comes out, then the process is gone by SIGKILL."""
    command = [sys.executable, "-c", CHILD, "testing:killer"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()) == (-9, ["0"])


def test_the_stuck_engine_stays_in_the_second_segment():
    """The first segment comes out, and then nothing until somebody kills the process."""
    command = [sys.executable, "-c", CHILD, "testing:stuck"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "0\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1)
        child.kill()
        assert child.stdout.read() == ""
