"""Where a model's networks run: the choice, from what is asked for, what there is, and what was measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch

from isomix.audio.blocks import Audio
from isomix.backends.demucs.halves import Core, SplitNetwork, can_split, spectrum_shape
from isomix.backends.demucs.layers import FORM, rewrite_layers
from isomix.domain.options import EngineOptions
from isomix.models.store import WeightsStore
from isomix.runtime.cache import read_cached, write_cached
from isomix.runtime.choice import Evidence
from isomix.runtime.machine import choose_runtime
from isomix.runtime.openvino import Recipe, has_bfloat16, identify, open_network
from isomix.runtime.torch import TorchNetwork, TorchRuntime, prepare

if TYPE_CHECKING:
    from isomix.backends.demucs.loading import Package

BYTES_PER_SAMPLE = 1600
"""Memory a network takes for each sample of a segment and channel, roughly; it only sets a first batch size."""

PROVEN = Evidence(is_proven=True)
"""Transformers equal torch in OpenVINO to 100 dB and better (tests/integration/test_demucs_openvino.py)."""


class Selection(torch.nn.Module):
    """A network that returns only some of its stems: the others never leave the device.

    Parameters
    ----------
    network : torch.nn.Module
        From ``(batch, channels, samples)`` to ``(batch, stems, channels, samples)``.
    stems : sequence of int
        Which of its stems.
    """

    def __init__(self, network: Any, stems: Sequence[int]) -> None:
        super().__init__()
        self.network, self._stems = network, list(stems)

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        """Run the network."""
        stems: torch.Tensor = self.network(mixture)[:, self._stems]
        return stems


class Runner:
    """Opens the networks of a model where they are to run.

    Parameters
    ----------
    model : str
        Its name, for errors.
    options : EngineOptions
        ``runtime``, ``precision``, ``device``, ``on_device_error`` and ``weights_dir`` count.
    """

    def __init__(self, model: str, options: EngineOptions) -> None:
        self._model, self._options = model, options

    def open(self, package: Package, network: Any, samples: int, stems: Sequence[int]) -> TorchNetwork | SplitNetwork:
        """Open a network.

        Parameters
        ----------
        package : Package
            Where it came from.
        network : torch.nn.Module
            Built of it.
        samples : int
            Length of its segments.
        stems : sequence of int
            The wanted ones.

        Raises
        ------
        EngineUnavailable, InvalidOptions
            If what is asked for is not there.
        """
        evidence = PROVEN if can_split(network) else None
        choice = choose_runtime(self._model, self._options, evidence)
        if choice.runtime == "torch":
            segment_bytes = samples * package.channels * BYTES_PER_SAMPLE
            return TorchNetwork(Selection(network, stems), self._torch, segment_bytes=segment_bytes)
        recipe = self._recipe(package, network, samples)
        if self._options.precision == "auto" and has_bfloat16():
            measured = self._measure(recipe, package, network, samples)
            choice = choose_runtime(self._model, self._options, attrs.evolve(PROVEN, bfloat16_error_db=measured))
        return SplitNetwork(network, open_network(recipe, choice.precision, self._folder), stems)

    @cached_property
    def _torch(self) -> TorchRuntime:
        return TorchRuntime.from_options(self._options)

    @property
    def _folder(self) -> Path:
        return WeightsStore(self._options.weights_dir).folder / "openvino"

    def _recipe(self, package: Package, network: Any, samples: int) -> Recipe:
        # The last levels of both branches stay exact: they cost 3 % more time in bfloat16, and the error falls by 2 dB.
        with package.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Recipe(
            name=f"demucs-{package.path.stem}",
            weights=[digest],
            shapes=[spectrum_shape(network, package.channels, samples), (1, package.channels, samples)],
            build=lambda: Core(prepare(rewrite_layers(network))),
            form=FORM,
            exact=[f"decoder.{len(network.decoder) - 1}", f"tdecoder.{len(network.tdecoder) - 1}"],
        )

    def _measure(self, recipe: Recipe, package: Package, network: Any, samples: int) -> float:
        """Return the error of bfloat16 with these weights on this machine; found out once, and kept."""
        path = self._folder / f"{recipe.name}-{identify(recipe, 'bfloat16')}.error"
        if (kept := read_cached(path)) is not None:
            return float(json.loads(kept.tobytes()))
        mixture = make_test_signal(package.channels, samples, package.sample_rate)
        stems = range(len(package.stems))
        exact, rounded = (
            SplitNetwork(network, open_network(recipe, precision, self._folder), stems)(mixture)[0]
            for precision in ("float32", "bfloat16")
        )
        error_db = worst_error_db(exact, rounded)
        write_cached(path, memoryview(json.dumps(error_db).encode()))
        return error_db


def make_test_signal(channels: int, samples: int, sample_rate: int) -> Audio:
    """Return something that has of all that music has: a bass, chords that decay, strokes, and hiss.

    Parameters
    ----------
    channels, samples, sample_rate : int
        Of the signal; the sample rate in Hz.

    Returns
    -------
    ndarray of shape (1, channels, samples), float32
        Of zero mean and unit deviation, as a track is normalised.
    """
    draw = np.random.default_rng(0)
    seconds = np.arange(samples) / sample_rate
    beat = np.exp(-6 * (seconds % 0.5))
    tones = [beat * np.sin(2 * np.pi * pitch_hz * seconds) for pitch_hz in (55, 220, 277, 330, 440, 1760)]
    strokes = np.exp(-60 * (seconds % 0.25)) * draw.standard_normal((channels, samples))
    mixture = sum(tones) + strokes + 0.01 * draw.standard_normal((channels, samples))
    return np.asarray((mixture - mixture.mean()) / mixture.std(), np.float32)[None]


def worst_error_db(reference: Audio, estimate: Audio) -> float:
    """Return the power of the error of the worst stem against the stem's own, in dB.

    Parameters
    ----------
    reference, estimate : ndarray of shape (stems, channels, samples)
    """
    errors = np.square(reference - estimate, dtype=np.float64).sum(axis=(1, 2))
    powers = np.square(reference, dtype=np.float64).sum(axis=(1, 2))
    return float(10 * np.log10(np.max(errors / np.maximum(powers, np.finfo(float).tiny))))
