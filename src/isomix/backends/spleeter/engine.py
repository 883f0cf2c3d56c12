"""Spleeter behind the engine seam: STFT, masks from the U-Nets wherever these run, inverse STFT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isomix.audio.blocks import Audio
from isomix.backends.spleeter.catalog import SEGMENTATION
from isomix.backends.spleeter.transform import Transform
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine

if TYPE_CHECKING:
    from isomix.runtime.openvino import OpenVinoNetwork
    from isomix.runtime.torch import TorchNetwork


class SpleeterEngine(SeparationEngine):
    """A Spleeter model with its weights loaded.

    Parameters
    ----------
    spec : EngineSpec
        Which model.
    options : EngineOptions
        How to run it.
    network : TorchNetwork or OpenVinoNetwork
        Magnitudes ``(batch, channels, frames, bins)`` to masks, stems on the second axis. All stems of the spec,
        wanted or not: a mask is a share of their sum.
    bins : int
        Frequency bins the network is given.
    """

    def __init__(
        self, spec: EngineSpec, options: EngineOptions, network: TorchNetwork | OpenVinoNetwork, bins: int
    ) -> None:
        super().__init__(spec, options)
        self._network = network
        self._transform = Transform(bins)
        self._wanted = [spec.stems.index(stem) for stem in self.stems]
        self.batch_size = options.batch_size or network.batch_size
        self.runtime = network.runtime
        self._record()

    def _separate(self, mixture: Audio) -> Audio:
        samples = mixture.shape[-1]
        if samples < SEGMENTATION.length:
            mixture = np.pad(mixture, ((0, 0), (0, 0), (0, SEGMENTATION.length - samples)))
        spectra, magnitudes = self._transform.analyse(mixture)
        masks = self._network(magnitudes)
        self._record()
        if len(self._wanted) < masks.shape[1]:
            masks = masks[:, self._wanted]
        return self._transform.synthesise(spectra, masks)[..., :samples]

    def _record(self) -> None:
        """Say where the work is done: it may have moved."""
        self.device, self.precision = self._network.device, self._network.precision
