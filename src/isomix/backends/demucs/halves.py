"""A transformer of Demucs in two halves: its Fourier transforms in torch, all between them in another runtime.

Runtimes that compile a network do well without complex numbers. Demucs' ``forward`` reaches its transforms through four
methods; with these put aside it is the network's core, in Demucs' own code.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from demucs.htdemucs import HTDemucs

from isomix.audio.blocks import Audio
from isomix.backends.demucs.inverse import InverseTransform
from isomix.runtime.openvino import OpenVinoNetwork


def can_split(network: torch.nn.Module) -> bool:
    """Tell whether a network is a transformer with segments of one length that takes complex numbers as channels."""
    return isinstance(network, HTDemucs) and bool(network.cac) and bool(network.use_train_segment)


class Core(torch.nn.Module):
    """A transformer without its Fourier transforms.

    Parameters
    ----------
    network : HTDemucs
        Left as it is.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = copy.copy(network)

    def forward(self, spectrum: torch.Tensor, mixture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the stems' spectra and what the other branch adds to their samples.

        Parameters
        ----------
        spectrum : tensor of shape (batch, 2 * channels, bins, frames)
            Real and imaginary parts of the mixture's.
        mixture : tensor of shape (batch, channels, samples)

        Returns
        -------
        tensor of shape (batch, stems, 2 * channels, bins, frames)
        tensor of shape (batch, stems, channels, samples)
        """
        spectra: list[torch.Tensor] = []

        def keep(stems: torch.Tensor, _: int) -> float:
            spectra.append(stems)
            return 0.0

        self.network._spec = lambda _: spectrum
        self.network._magnitude = lambda given: given
        self.network._mask = lambda _, stems: stems
        self.network._ispec = keep
        samples = self.network(mixture)
        return spectra[0], samples


class SplitNetwork:
    """A transformer whose core runs elsewhere: a callable on arrays.

    Parameters
    ----------
    network : HTDemucs
        For its transforms; its weights are not used.
    core : OpenVinoNetwork
        Its `Core`.
    stems : sequence of int
        Which of its stems are wanted: the others are not brought back into time.
    """

    runtime = "openvino"
    device = "cpu"
    batch_size = 1

    def __init__(self, network: Any, core: OpenVinoNetwork, stems: Sequence[int]) -> None:
        self._core, self._stems = core, list(stems)
        self.precision = core.precision
        self._network = copy.copy(network)
        # The transform needs none of the weights, which would stay in memory twice.
        vars(self._network)["_modules"] = {}
        self._inverse: InverseTransform | None = None

    def __call__(self, batch: Audio) -> Audio:
        """Run the network on ``(batch, channels, samples)``; return ``(batch, stems, channels, samples)``."""
        return np.concatenate([self._run(batch[item : item + 1]) for item in range(len(batch))])

    def _run(self, mixture: Audio) -> Audio:
        with torch.inference_mode():
            spectrum = self._network._spec(torch.tensor(mixture))
            parts = self._network._magnitude(spectrum).numpy()
            spectra, samples = self._core.run(parts, mixture)
            if self._inverse is None:  # segments are all of one length
                self._inverse = InverseTransform(parts.shape[-2], parts.shape[-1], mixture.shape[-1])
            stems = [self._inverse(torch.from_numpy(spectra[0, stem])) + samples[0, stem] for stem in self._stems]
        return np.stack(stems)[None]


def spectrum_shape(network: Any, channels: int, samples: int) -> tuple[int, ...]:
    """Return the shape of the spectrum that a core is given for a segment."""
    hop = int(network.hop_length)
    return 1, 2 * channels, int(network.nfft) // 2, -(-samples // hop)
