"""What a user installs works away from the checkout."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def fresh_python(tmp_path_factory):
    """The Python of a new environment that holds nothing but the built wheel and what it requires."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [*pip, "--python", python, "install", "-c", ROOT / "constraints.txt", f"{wheel}[spleeter]"], check=True
    )
    return python


def run(python, folder, *arguments):
    """Run Python in a folder without any sign of the checkout in its environment."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)


@pytest.mark.weights
@pytest.mark.timeout(900)
def test_the_three_lines_of_the_readme_work_from_the_wheel(fresh_python, tmp_path, spleeter_weights):
    """From an installed wheel in an empty folder, the README's lines give four stems."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((5 * 44100, 2))
    soundfile.write(tmp_path / "song.mp3", noise, 44100)
    lines = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    run(fresh_python, tmp_path, "-c", lines)
    names = {"vocals.wav", "drums.wav", "bass.wav", "other.wav"}
    assert {path.name for path in (tmp_path / "stems").iterdir()} == names
    assert soundfile.info(tmp_path / "stems" / "vocals.wav").frames == 5 * 44100


@pytest.mark.timeout(900)
def test_the_command_is_installed_and_types_are_shipped(fresh_python, tmp_path):
    """The wheel brings `python -m isomix`, its models and the marker for type checkers."""
    assert "hpss" in run(fresh_python, tmp_path, "-m", "isomix", "models", "list").stdout
    shipped = run(fresh_python, tmp_path, "-c", "import isomix; print(isomix.__path__[0])").stdout.strip()
    assert Path(shipped, "py.typed").exists()


@pytest.mark.timeout(900)
def test_a_model_without_its_extra_names_the_install_line(fresh_python, tmp_path):
    """Where a model's package is missing, the command says what to install and exits with 1."""
    soundfile.write(tmp_path / "song.wav", np.zeros((100, 2)), 44100)
    with pytest.raises(subprocess.CalledProcessError) as error:
        run(fresh_python, tmp_path, "-m", "isomix", "separate", "song.wav", "-m", "htdemucs")
    assert error.value.returncode == 1
    assert 'pip install "isomix[demucs]"' in error.value.stderr
