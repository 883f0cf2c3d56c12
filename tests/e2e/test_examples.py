"""Every example runs as its header says, and shows what its header promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from tests.service_redis import RedisServer

from isomix.ports import ObjectStore
from isomix.testing.stores import ObjectStoreContract

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(path for path in EXAMPLES.glob("*.py") if path.name != "demo.py")
LABELS = ("Shows:", "Install:", "Run:", "See:")
TIMEOUT_SECONDS = 180


def run(name: str, folder: Path, *arguments: str, **environment: str) -> str:
    """Run an example in an empty folder, without any setting of this machine, and return what it prints."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ISOMIX_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *arguments],
        cwd=folder,
        env={**kept, "TMPDIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_header_tells_four_things(script: Path) -> None:
    """A script begins with what it shows, what to install, how to run it, and what is to be seen; it is run below."""
    header = script.read_text().split('"""')[1].splitlines()
    assert tuple(line.split()[0] for line in header[2:] if line) == LABELS
    assert script.stem == "song" or f"examples/{script.name}" in header[4]
    assert script.stem == "song" or f'run("{script.stem}"' in Path(__file__).read_text()


def test_quickstart(tmp_path: Path) -> None:
    """It says ready, and writes three stems as long as the recording."""
    shown = run("studio_quickstart", tmp_path)
    assert "is ready" in shown
    for name in ("drums", "bass", "other"):
        assert soundfile.info(tmp_path / "demo-output" / "studio" / f"{name}.flac").frames == 8 * 44100


def test_a_recording_of_ones_own(tmp_path: Path) -> None:
    """An example takes the recording that is named on its command line."""
    soundfile.write(tmp_path / "mine.wav", [[0.1, -0.1]] * 44100, 44100)
    assert "mine.wav is ready" in run("studio_quickstart", tmp_path, "mine.wav")


def test_watch(tmp_path: Path) -> None:
    """Progress never falls, and something can be played before the end."""
    lines = run("studio_watch", tmp_path).splitlines()
    fractions = [int(found[1]) for line in lines if (found := re.search(r" (\d+)%", line))]
    playable = [number for number, line in enumerate(lines) if "can play" in line]
    assert fractions == sorted(fractions)
    assert playable[0] < max(number for number, line in enumerate(lines) if line.startswith("separate"))
    assert "from 0 to 1 s" in lines[playable[0]]
    assert "to 20 s" in lines[playable[-1]]
    assert lines[-1] == "ready"


def test_mix_and_export(tmp_path: Path) -> None:
    """Two mixes are written, and only the loud one was turned down, to just below full scale."""
    quiet, loud = run("studio_mix_and_export", tmp_path).splitlines()
    assert quiet.endswith("+0.0 dB")
    assert re.search(r"headroom -\d+\.\d dB, -\d+\.\d dB", loud)
    mixed, _ = soundfile.read(tmp_path / "demo-output" / "too-loud.flac")
    assert mixed.shape == (2 * 44100, 2)
    assert abs(mixed).max() == pytest.approx(1.0, abs=0.01)
    assert soundfile.info(tmp_path / "demo-output" / "without-drums.mp3").duration == pytest.approx(8, abs=0.1)


def test_quotas(tmp_path: Path) -> None:
    """A wrong kind and a long recording are refused without spending quota; the second upload of the month is one."""
    shown = run("studio_quotas", tmp_path).splitlines()
    bob = [line.split(":")[1].split()[0] for line in shown if line.startswith("bob")]
    assert bob == ["unsupported_format", "too_long", "isomix-example-8s.wav", "quota_exceeded"]
    assert [line for line in shown if line.startswith("ann")] == ["ann: isomix-example-8s.wav is ready"] * 2


def test_async_app(tmp_path: Path) -> None:
    """Both separations are ready, and the event loop went on meanwhile."""
    shown = run("studio_async_app", tmp_path)
    assert {"ann: ready, 4 stems", "bob: ready, 4 stems"} <= set(shown.splitlines())
    ticks = re.search(r"(\d+) ticks", shown)
    assert ticks is not None
    assert int(ticks[1]) > 10


def test_crash(tmp_path: Path) -> None:
    """The project of the killed process is ready in its second attempt."""
    shown = run("studio_crash", tmp_path).splitlines()
    assert "killed" in shown
    assert shown[-1].endswith("is ready in attempt 2")


def test_workers(tmp_path: Path, redis_server: RedisServer) -> None:
    """Each of two workers runs the job of its route."""
    shown = run("studio_workers", tmp_path, ISOMIX_QUEUE=redis_server.url).splitlines()
    assert shown == [
        "online: default",
        "online: slow",
        "testing:slow-50ms on slow: ready",
        "hpss on default: ready",
    ]


def test_workers_without_redis(tmp_path: Path) -> None:
    """Without an address it says what is missing."""
    command = [sys.executable, EXAMPLES / "studio_workers.py"]
    environment = {key: value for key, value in os.environ.items() if key != "ISOMIX_QUEUE"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "set ISOMIX_QUEUE=redis://HOST:PORT/DB first\n")


def test_custom_store(tmp_path: Path) -> None:
    """Each stem has an address that is valid, and is not when it is changed."""
    lines = [line for line in run("studio_custom_store", tmp_path).splitlines() if line[0] != " "]
    assert lines == [f"{name}: valid True, made longer False" for name in ("drums", "bass", "other")]


class TestServedFolder(ObjectStoreContract):
    """The store of that example is a store."""

    gives_copies = False

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.syspath_prepend(EXAMPLES)
        return tmp_path / "objects"

    @pytest.fixture
    def store(self, folder: Path) -> ObjectStore:
        from studio_custom_store import ServedFolder

        return ServedFolder(folder, "https://media.example/stems", b"secret")

    @pytest.fixture
    def same_store(self, folder: Path) -> ObjectStore:
        from studio_custom_store import ServedFolder

        return ServedFolder(folder, "https://media.example/stems", b"secret")
