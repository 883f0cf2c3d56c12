"""Demucs' networks behind the engine seam: isomix cuts, joins, shifts and averages; the networks see segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import attrs
import numpy as np

from isomix.audio.blocks import Audio, StemStream
from isomix.audio.overlap import Member, OverlapAdd, Segmentation
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine

if TYPE_CHECKING:
    from isomix.backends.demucs.halves import SplitNetwork
    from isomix.runtime.torch import TorchNetwork


@attrs.frozen(eq=False)
class Part:
    """A network of the bag, ready to run.

    Parameters
    ----------
    position : int
        Its place in the bag.
    network : TorchNetwork or SplitNetwork
        Returns the wanted stems.
    weights : tuple of float
        What it weighs in each wanted stem.
    cut : Segmentation
        The segments it wants.
    input_length : callable
        From a piece's length to the length it must be given.
    """

    position: int
    network: TorchNetwork | SplitNetwork
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
    parts : tuple of Part
        The networks that are needed.
    """

    def __init__(self, spec: EngineSpec, options: EngineOptions, parts: tuple[Part, ...]) -> None:
        super().__init__(spec, options)
        self.parts = parts
        self.batch_size = options.batch_size or min(part.network.batch_size for part in parts)
        self.runtime = " + ".join(dict.fromkeys(part.network.runtime for part in parts))
        self._record()

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
        stems = part.network(mixture)
        self._record()
        return stems

    def _record(self) -> None:
        """Say where the work is done: it may have moved."""
        self.device = " + ".join(dict.fromkeys(part.network.device for part in self.parts))
        self.precision = " + ".join(dict.fromkeys(part.network.precision for part in self.parts))
