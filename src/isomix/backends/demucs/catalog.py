"""The models Demucs has released: facts only, so that listing them imports nothing."""

from __future__ import annotations

import attrs

from isomix.audio.overlap import Segmentation
from isomix.engine import EngineSpec

LICENCE = "unknown: the code is MIT, its authors say the weights are not covered by it (facebookresearch/demucs#327)"
HUB = "hf://"
"""Begins the names of models on the Hugging Face hub, as in Demucs."""
SAMPLE_RATE = 44100
OVERLAP = 0.25
"""Fraction of a segment that Demucs shares with the next unless told otherwise (demucs 4.1, ``apply_model``)."""

_FOUR = ("drums", "bass", "other", "vocals")


@attrs.frozen
class Release:
    """A released model: a bag of one or more networks.

    Parameters
    ----------
    name : str
        The name Demucs gives it.
    networks : int
        How many networks it averages.
    size_mb : int
        Size of all its weights together, in megabytes, roughly.
    note : str
        What it is good for.
    stems : tuple of str
        In the networks' order.
    segment_seconds : float
        What its networks see at once.
    """

    name: str
    networks: int
    size_mb: int
    note: str
    stems: tuple[str, ...] = _FOUR
    segment_seconds: float = 44.0

    @property
    def network_bytes(self) -> int:
        """Size of one network's weights, in bytes, roughly."""
        return self.size_mb * 1_000_000 // self.networks

    @property
    def summary(self) -> str:
        """One line for lists."""
        return f"{self.note}; about {self.size_mb} MB"

    def to_spec(self) -> EngineSpec:
        """Return it as a spec."""
        return make_spec(self.name, self.stems, length=int(self.segment_seconds * SAMPLE_RATE), summary=self.summary)


def make_spec(
    name: str, stems: tuple[str, ...], *, length: int, sample_rate: int = SAMPLE_RATE, channels: int = 2, summary: str
) -> EngineSpec:
    """Describe a model whose networks are Demucs'.

    Parameters
    ----------
    name : str
        Name of the model.
    stems : tuple of str
        In the networks' order.
    length : int
        Samples of a segment.
    sample_rate : int
        In Hz.
    channels : int
        1 or 2.
    summary : str
        One line for lists.

    Returns
    -------
    EngineSpec
    """
    return EngineSpec(
        name=name,
        stems=stems,
        factory="isomix.backends.demucs.opening:open_demucs",
        segmentation=Segmentation(length=length, hop=length).with_overlap(OVERLAP),
        sample_rate=sample_rate,
        channels=2 if channels == 2 else 1,
        normalization="track",
        licence=LICENCE,
        commercial_use="unknown",
        summary=summary,
        extra="demucs",
    )


RELEASES = (
    Release("htdemucs", 1, 84, "hybrid transformer, the best for its time", segment_seconds=7.8),
    Release(
        "htdemucs_ft",
        4,
        336,
        "one fine-tuned htdemucs per stem: a little better, four times the work for all stems, no more for one",
        segment_seconds=7.8,
    ),
    Release(
        "htdemucs_6s",
        1,
        55,
        "htdemucs with guitar and piano; the piano is weak",
        (*_FOUR, "guitar", "piano"),
        segment_seconds=7.8,
    ),
    Release("hdemucs_mmi", 1, 167, "hybrid Demucs v3, trained on MusDB and 800 more songs"),
    Release("mdx", 4, 670, "four v3 networks trained on MusDB alone, track A of the MDX challenge"),
    Release("mdx_extra", 4, 670, "four v3 networks with more data, MusDB's test songs among it"),
    Release("mdx_q", 4, 170, "mdx quantised: smaller, a little worse; needs diffq"),
    Release("mdx_extra_q", 4, 170, "mdx_extra quantised: smaller, a little worse; needs diffq"),
)
"""Sizes as measured or quoted by others; the hub does not promise them."""
