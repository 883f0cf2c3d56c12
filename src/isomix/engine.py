"""The seam between the pipe and the models: what an engine declares, and what it does.

An `EngineSpec` is light and frozen: listing models touches nothing else. A `SeparationEngine` holds loaded weights
and turns segments into stems. It never reads files, resamples, overlaps or reports progress: the pipe does.
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs
import numpy as np

from isomix.audio.blocks import Audio, StemStream
from isomix.audio.overlap import Blend, Member, OverlapAdd, Run, Segmentation
from isomix.domain.options import EngineOptions
from isomix.domain.stems import RESIDUAL
from isomix.domain.weights import CommercialUse, Quality, Weights
from isomix.errors import (
    ContractBroken,
    InvalidOptions,
    IsomixError,
    LicenceRefused,
    PluginError,
    SeparationFailed,
)

MAX_SHIFT_SECONDS = 0.5
"""Largest random shift of one pass (demucs 4.1, ``apply_model``)."""


def _factory(spec: EngineSpec, _: attrs.Attribute[Any], value: str) -> None:
    module, colon, name = value.partition(":")
    if not (module and colon and name.isidentifier()):
        raise PluginError(f"{spec.name}: factory must read 'package.module:function', not {value!r}", plugin=value)


def _stems(spec: EngineSpec, _: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or len(set(value)) != len(value):
        raise PluginError(f"{spec.name} needs at least one stem, each named once, not {value!r}", plugin=spec.name)
    for stem in value:
        if stem == RESIDUAL or not re.fullmatch(r"\w[\w -]*", stem):
            raise PluginError(
                f"{spec.name}: {stem!r} cannot name a stem: it is a file name of letters, digits, '_', '-' and spaces, "
                f"and {RESIDUAL!r} is what the stems leave over",
                plugin=spec.name,
            )


@attrs.frozen(kw_only=True)
class EngineSpec:
    """What a model is, without loading it.

    Parameters
    ----------
    name : str
        The name users give, such as ``"spleeter:2stems"``.
    stems : tuple of str
        Stems in the order the engine returns them.
    factory : str
        ``"package.module:function"``; called with the spec and an `EngineOptions`, returns a `SeparationEngine`.
    segmentation : Segmentation
        How the recording is cut for it.
    sample_rate : int
        Rate the engine works at, in Hz.
    channels : int
        Channels the engine works with: 1 or 2.
    normalization : {"none", "track"}
        ``"track"``: the pipe removes the mean of the whole recording and divides by its standard deviation, and
        puts both back into the stems.
    licence : str
        Licence of the model with its weights; ``"unknown"`` where nobody has said.
    commercial_use : {"yes", "no", "unknown"}
        Whether that licence allows commercial use.
    summary : str
        One line for lists: what it is good for.
    extra : str
        Extra of the distribution that it needs, such as ``"spleeter"``; empty for none.
    weights : Weights, optional
        Files it needs; None for an engine without weights, or whose files are not known beforehand.
    published : Weights, optional
        Of an engine that finds its weights itself: what they are, for people to read.
    stored : str
        ``"package.module:function"`` of an engine that finds its weights itself; called with the spec and an
        `EngineOptions`, lists its `StoredFile` values. Empty where ``weights`` says it all.
    download_bytes : int, optional
        What a first use downloads, roughly; None for the size of ``weights``.
    quality : Quality, optional
        A published figure of how well it separates.
    cpu_cost : float, optional
        Time on a CPU, in float32 and for all stems, as a multiple of ``spleeter:2stems``'s.

    Examples
    --------
    >>> EngineSpec(
    ...     name="copy", stems=("copy",), factory="mine:open", segmentation=Segmentation(length=4, hop=4)
    ... ).sample_rate
    44100
    """

    name: str
    stems: tuple[str, ...] = attrs.field(validator=_stems)
    factory: str = attrs.field(validator=_factory)
    segmentation: Segmentation
    sample_rate: int = 44100
    channels: Literal[1, 2] = 2
    normalization: Literal["none", "track"] = "none"
    licence: str = "unknown"
    commercial_use: CommercialUse = "unknown"
    summary: str = ""
    extra: str = ""
    weights: Weights | None = None
    published: Weights | None = None
    stored: str = ""
    download_bytes: int | None = None
    quality: Quality | None = None
    cpu_cost: float | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the models it is made of, if it is made of others."""
        return ()

    def check_licence(self, options: EngineOptions) -> None:
        """Refuse a use that the model is not known to allow.

        Raises
        ------
        LicenceRefused
            If the options ask for commercial use, and the licence forbids it or nobody has said.
        """
        if options.licence == "commercial" and self.commercial_use != "yes":
            raise LicenceRefused(
                f"{self.name} is not known to allow commercial use ({self.commercial_use}); licence: {self.licence}",
                hint='take a model whose commercial use is "yes" in `isomix models list`, such as hpss',
                model=self.name,
                licence=self.licence,
                commercial_use=self.commercial_use,
            )


class SeparationEngine(ABC):
    """A model with its weights loaded. Subclasses write `_separate`; everything else is here.

    Parameters
    ----------
    spec : EngineSpec
        What the model is.
    options : EngineOptions
        What the caller asked for. `stems` of the engine are the wanted ones, in the order of the spec.

    Attributes
    ----------
    stems : tuple of str
        Stems it returns, in order.
    device, precision, runtime : str
        What was chosen; recorded in every result.
    batch_size : int
        Segments per call.

    Examples
    --------
    >>> class Copy(SeparationEngine):
    ...     def _separate(self, mixture):
    ...         return mixture[:, None]
    >>> cut = Segmentation(length=4, hop=4)
    >>> spec = EngineSpec(name="copy", stems=("copy",), factory="mine:Copy", segmentation=cut)
    >>> Copy(spec, EngineOptions()).separate(np.zeros((1, 2, 4), np.float32)).shape
    (1, 1, 2, 4)
    """

    device: str = "cpu"
    precision: str = "float32"
    runtime: str = "numpy"

    def __init__(self, spec: EngineSpec, options: EngineOptions) -> None:
        self.spec = spec
        self.options = options
        wanted = spec.stems if options.stems is None else options.stems
        unknown = sorted(set(wanted) - set(spec.stems))
        if unknown:
            raise InvalidOptions(f"{spec.name} has no stems {unknown}", option="stems", value=options.stems)
        self.stems = tuple(stem for stem in spec.stems if stem in wanted)
        self.batch_size = options.batch_size or 1
        self.segmentation = spec.segmentation
        if options.overlap is not None:
            self.segmentation = spec.segmentation.with_overlap(options.overlap)
        self._lock = threading.Lock()

    def separate(self, mixture: Audio) -> Audio:
        """Separate a batch of segments. Safe to call from several threads.

        Parameters
        ----------
        mixture : ndarray of shape (batch, channels, samples), float32
            Segments at the engine's rate; left unchanged.

        Returns
        -------
        ndarray of shape (batch, stems, channels, samples), float32
            A new array, the caller's own: the pipe joins segments in place, and changes it.

        Raises
        ------
        ContractBroken
            If the engine is given, or gives, anything else.
        SeparationFailed
            If the engine raises; the cause is chained.
        """
        return self._checked(self._separate, mixture)

    @abstractmethod
    def _separate(self, mixture: Audio) -> Audio:
        """Do the work of `separate`; called by one thread at a time, with checked input."""

    def open_stream(self, before_segment: Callable[[], None] = lambda: None) -> StemStream:
        """Begin a recording.

        Parameters
        ----------
        before_segment : callable
            Called before each network call; what it raises ends the separation.

        Returns
        -------
        StemStream
            Turns mixture blocks into settled stem blocks, at the engine's rate.
        """

        def run(batch: Audio) -> Audio:
            before_segment()
            return self.separate(batch)

        return self._average(
            [
                Member(self._overlap_add(run, shift), [1.0] * len(self.stems))
                for shift in self._shifts(self.options.seed)
            ]
        )

    def close(self) -> None:  # noqa: B027 - most engines have nothing to let go of
        """Let go of weights and memory; closing twice is harmless."""

    def _overlap_add(self, run: Run, shift: int) -> OverlapAdd:
        return OverlapAdd(
            run,
            self.segmentation,
            channels=self.spec.channels,
            stems=len(self.stems),
            batch_size=self.batch_size,
            shift=shift,
        )

    def _average(self, members: list[Member]) -> StemStream:
        """Blend passes; one pass alone is left as it is."""
        return members[0].stream if len(members) == 1 else Blend(members, (len(self.stems), self.spec.channels))

    def _shifts(self, seed: int) -> Iterator[int]:
        """Yield the shift of each pass, in samples: one zero, or as many random ones as were asked for."""
        if not self.options.shifts:
            yield 0
        draw = np.random.default_rng(seed)
        for _ in range(self.options.shifts):
            yield int(draw.integers(0, int(MAX_SHIFT_SECONDS * self.spec.sample_rate), endpoint=True))

    def _checked(self, work: Run, mixture: Audio) -> Audio:
        self._check("was given", mixture, (*np.shape(mixture)[:1], self.spec.channels, *np.shape(mixture)[-1:]))
        untouched = mixture.view()
        untouched.flags.writeable = False
        try:
            with self._lock:
                stems = work(untouched)
        except IsomixError:
            raise
        except Exception as error:
            raise SeparationFailed(
                f"{self.spec.name} failed: {type(error).__name__}: {error}", model=self.spec.name
            ) from error
        self._check("returned", stems, (len(mixture), len(self.stems), *mixture.shape[1:]))
        return stems.copy() if np.may_share_memory(stems, mixture) else stems

    def _check(self, verb: str, audio: Audio, shape: tuple[int, ...]) -> None:
        name = self.spec.name
        if not isinstance(audio, np.ndarray):
            raise ContractBroken(f"{name} {verb} a {type(audio).__name__}, not an array", model=name)
        if audio.dtype != np.float32 or audio.shape != shape:
            raise ContractBroken(
                f"{name} {verb} {audio.dtype} {audio.shape}, the seam says float32 {shape}", model=name
            )
        if not np.isfinite(audio).all():
            raise ContractBroken(f"{name} {verb} values that are not finite", model=name)
