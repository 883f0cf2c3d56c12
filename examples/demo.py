"""Separate a real recording with real weights, and compare the stems with the true ones.

Shows: choosing a model, writing files, reading streams of a .stem.mp4, the null error.
Run:   make demo
Needs: a network on the first run, for 80 MB.
See:   demo-output/ for the stems.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import isomix
from isomix.domain.weights import PackageSource, WeightFile, Weights
from isomix.models.store import WeightsStore

MODEL = "spleeter+hpss"
OUTPUT = Path("demo-output")
CLIP_FILE = WeightFile(
    "The Easton Ellises - Falcon 69.stem.mp4",
    sha256="874a2552f4d6e2421789e9816f0db58337e97e20539579e34a6100029e3cde5d",
)
CLIP = Weights(
    name="demo-clip",
    files=(CLIP_FILE,),
    sources=(PackageSource("stempeg==0.2.6", "stempeg/data"),),
    licence="as distributed with stempeg",
)
STREAMS = {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4}


def sdr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Return the signal-to-distortion ratio: energy of the reference against that of the difference, in dB."""
    return 10 * float(np.log10(np.sum(reference**2) / np.sum((reference - estimate) ** 2)))


def main() -> None:
    """Separate the clip and print what came of it."""
    clip = WeightsStore().get(CLIP) / CLIP_FILE.name
    separation = isomix.separate(
        clip, MODEL, output=OUTPUT / "falcon", encoding="float32", progress=sys.stderr.isatty()
    )

    print(f"\n{'stem':<8} {'seconds':>8} {'peak':>6} {'RMS dB':>7} {'SDR dB':>7}")
    for name, stem in separation.items():
        audio = stem.array
        truth, _ = isomix.read(clip, stream=STREAMS[name])
        rms_db = 20 * np.log10(np.sqrt(np.mean(audio**2)))
        print(f"{name:<8} {stem.duration:8.2f} {np.abs(audio).max():6.3f} {rms_db:7.1f} {sdr_db(truth, audio):7.2f}")
    seconds = separation.timings["separate"] + separation.timings["write"]
    print(f"\nstems summed against the mixture: null error {separation.null_error_db:.1f} dB")
    print("(Spleeter leaves out what lies above 11 kHz: that is the residual)")
    print(f"{separation.duration:.1f} s of audio in {seconds:.2f} s: {separation.real_time_factor:.1f} x real time")
    print(f"\nThe stems are in {OUTPUT / 'falcon'}. Next, a recording of your own:")
    print(f"  .venv/bin/isomix separate song.mp3 -m {MODEL} -o {OUTPUT}")
    print("  .venv/bin/isomix models list")


if __name__ == "__main__":
    main()
