"""Checks over the life of an engine: the same each time, closed and opened again, without weight until it is opened."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

from isomix.audio.blocks import Audio
from isomix.engine import SeparationEngine
from isomix.errors import NotFound
from isomix.plugins import GROUP, discover
from isomix.testing.conformance.rules import Broken, Check, Unmeasurable
from isomix.testing.conformance.signals import ratio_db
from isomix.testing.conformance.subject import Subject

REPEATED_DB = -100.0
"""Two runs are one where they differ by less: threads on a GPU add in any order."""

HEAVY = frozenset(
    {
        "av",
        "cupy",
        "demucs",
        "jax",
        "keras",
        "librosa",
        "matplotlib",
        "numba",
        "onnxruntime",
        "openvino",
        "pandas",
        "safetensors",
        "scipy",
        "sklearn",
        "soundfile",
        "soxr",
        "tensorflow",
        "tokenizers",
        "torch",
        "torchaudio",
        "transformers",
    }
)
"""What costs a list of models its speed or its memory."""

_LIST = """
import json, sys
from importlib.metadata import entry_points
import isomix.plugins
before = set(sys.modules)
(point,) = entry_points(group=sys.argv[1], name=sys.argv[2])
list(point.load().isomix_engines())
print()
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def _check_listing(subject: Subject) -> None:
    point = _find_entry_point(subject)
    command = [sys.executable, "-c", _LIST, point.group, point.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"listing the models of {point.value} failed:\n{done.stderr}")
    modules = json.loads(done.stdout.splitlines()[-1])
    heavy = sorted({module.split(".")[0] for module in modules} & HEAVY)
    if heavy:
        raise Broken(f"listing the models of {point.value} imports {', '.join(heavy)} ({len(modules)} modules in all)")


def _find_entry_point(subject: Subject) -> EntryPoint:
    for point in entry_points(group=GROUP):
        registry = discover([point])
        try:
            found = registry.get_spec(subject.spec.name, subject.options)
        except NotFound:
            continue
        if found == subject.spec:
            return point
    raise Unmeasurable("no installed plugin offers it: its spec was given")


def _check_determinism(subject: Subject) -> None:
    mixture, first = subject.take
    with subject.open() as fresh:
        runs = {
            "by the same engine": subject.separate(mixture),
            "by another one that was opened alike": subject.separate(mixture, engine=fresh),
        }
    for way, stems in runs.items():
        difference_db = ratio_db(stems - first, mixture)
        if difference_db > REPEATED_DB:
            raise Broken(
                f"the same recording again {way} differs by {difference_db:.1f} dB (allowed: {REPEATED_DB} dB)"
            )


def _check_reopen(subject: Subject) -> None:
    mixture = subject.noise(1)

    def run(engine: SeparationEngine) -> Audio:
        stems: Audio = engine.separate(mixture[None].copy())[0]
        return stems

    with subject.open() as kept:
        expected = run(kept).copy()
        with subject.open() as other:
            other.close()
            other.close()
        subject.require_equal("after another one was closed, what an engine gives", run(kept), expected, mixture)
    with subject.open() as again:
        subject.require_equal("what an engine gives that was opened again", run(again), expected, mixture)


LIFETIME = (
    Check(
        "listing",
        "Listing models imports no network, decoder or other heavy package: the module of the factory does.",
        _check_listing,
        needs=(),
    ),
    Check(
        "determinism",
        "The same recording with the same options gives the same stems, each time and from each opened engine.",
        _check_determinism,
    ),
    Check(
        "reopen",
        "Closing twice is harmless, closes no other engine, and the engine can be opened again.",
        _check_reopen,
        needs=("determinism",),
    ),
)
