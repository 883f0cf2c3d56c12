"""Demucs' networks behind the engine seam: isomix cuts, joins, shifts and averages; the networks see segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import attrs
import numpy as np
import torch

from isomix.audio.blocks import Audio, StemStream
from isomix.audio.overlap import Member, OverlapAdd, Segmentation
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine
from isomix.runtime.torch import TorchRuntime

BYTES_PER_SAMPLE = 1600
"""Memory a network takes for each sample of a segment and channel, roughly; it only sets a first batch size."""


class Selection(torch.nn.Module):
    """A network that returns only some of its stems: the others never leave the device.

    Parameters
    ----------
    network : torch.nn.Module
        From ``(batch, channels, samples)`` to ``(batch, stems, channels, samples)``.
    stems : list of int
        Which of its stems.
    """

    def __init__(self, network: Any, stems: list[int]) -> None:
        super().__init__()
        self.network, self._stems = network, stems

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        """Run the network."""
        stems: torch.Tensor = self.network(mixture)[:, self._stems]
        return stems


@attrs.frozen(eq=False)
class Part:
    """A network of the bag, ready to run.

    Parameters
    ----------
    position : int
        Its place in the bag.
    network : torch.nn.Module
        Returns the wanted stems.
    weights : tuple of float
        What it weighs in each wanted stem.
    cut : Segmentation
        The segments it wants.
    input_length : callable
        From a piece's length to the length it must be given.
    """

    position: int
    network: torch.nn.Module
    weights: tuple[float, ...]
    cut: Segmentation
    input_length: Callable[[int], int]


class DemucsEngine(SeparationEngine):
    """A bag of Demucs' networks, of which those are run that a wanted stem depends on.

    Parameters
    ----------
    spec : EngineSpec
        What the networks are.
    options : EngineOptions
        What was asked for.
    runtime : TorchRuntime
        Where they run.
    parts : tuple of Part
        The networks that are needed.
    """

    runtime = "torch"

    def __init__(
        self, spec: EngineSpec, options: EngineOptions, runtime: TorchRuntime, parts: tuple[Part, ...]
    ) -> None:
        super().__init__(spec, options)
        self._torch, self.parts = runtime, parts
        self.device, self.precision = runtime.device_name, runtime.precision_name
        longest = max(part.cut.length for part in parts)
        self.batch_size = options.batch_size or runtime.choose_batch_size(longest * spec.channels * BYTES_PER_SAMPLE)

    def open_stream(self, before_segment: Callable[[], None] = lambda: None) -> StemStream:
        """Begin a recording: every network makes its own passes, over segments of its own length."""
        return self._average(
            [
                Member(self._pass(part, shift, before_segment), part.weights)
                for part in self.parts
                for shift in self.shifts_of(part)
            ]
        )

    def shifts_of(self, part: Part) -> Iterator[int]:
        """Yield the shift of each pass of a network, in samples."""
        # Its position keeps it apart from the others, and the same whichever of them are left out.
        return self._shifts(self.options.seed + (part.position << 32))

    def close(self) -> None:
        """Let go of the networks."""
        self.parts = ()

    def _pass(self, part: Part, shift: int, before_segment: Callable[[], None]) -> OverlapAdd:
        def run(batch: Audio) -> Audio:
            before_segment()
            return self._checked(partial(self._infer, part), batch)

        return OverlapAdd(
            run,
            part.cut,
            channels=self.spec.channels,
            stems=len(self.stems),
            batch_size=self.batch_size,
            shift=shift,
            input_length=part.input_length,
        )

    def _separate(self, mixture: Audio) -> Audio:
        """Return the bag's mean for segments that no network finds too long."""
        shares = np.array([part.weights for part in self.parts], np.float32)
        shares /= shares.sum(axis=0)
        stems = [self._whole(part, mixture) for part in self.parts]
        return np.asarray(np.einsum("ps,pbscn->bscn", shares, stems), np.float32)

    def _whole(self, part: Part, mixture: Audio) -> Audio:
        samples = mixture.shape[-1]
        missing = part.input_length(samples) - samples
        padded = np.pad(mixture, ((0, 0), (0, 0), (missing // 2, missing - missing // 2)))
        return self._infer(part, padded)[..., missing // 2 : missing // 2 + samples]

    def _infer(self, part: Part, mixture: Audio) -> Audio:
        stems = self._torch.run(part.network, mixture)
        self.device, self.precision = self._torch.device_name, self._torch.precision_name
        return stems
