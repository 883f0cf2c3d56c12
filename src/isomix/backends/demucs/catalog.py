"""The models Demucs has released: facts only, so that listing them imports nothing."""

from __future__ import annotations

import attrs

from isomix.audio.overlap import Segmentation
from isomix.domain.weights import Quality, WebSource, WeightFile, Weights
from isomix.engine import EngineSpec

LICENCE = "unknown: the code is MIT, its authors say the weights are not covered by it (facebookresearch/demucs#327)"
HUB = "hf://"
"""Begins the names of models on the Hugging Face hub, as in Demucs."""
SAMPLE_RATE = 44100
OVERLAP = 0.25
"""Fraction of a segment that Demucs shares with the next unless told otherwise (demucs 4.1, ``apply_model``)."""

_FOUR = ("drums", "bass", "other", "vocals")
_README = "README of Demucs 4: facebookresearch/demucs"
_README_3 = "README of Demucs 3: facebookresearch/demucs, branch v3"
_PUBLISHED = "https://dl.fbaipublicfiles.com/demucs"
_DIGITS = 8
"""How much of a file's sha256 is in its name."""


@attrs.frozen
class Release:
    """A released model: a bag of one or more networks.

    Parameters
    ----------
    name : str
        The name Demucs gives it.
    files : tuple of str
        Its networks: ``<signature>-<first digits of sha256>``, in the order of Demucs' definition (demucs 4.1,
        ``remote/*.yaml`` and ``remote/files.txt``).
    size_mb : int
        Size of all its weights together, in megabytes, roughly.
    note : str
        What it is good for.
    stems : tuple of str
        In the networks' order.
    segment_seconds : float
        What its networks see at once.
    folder : str
        Where Demucs has published the ``.th`` files, below its address.
    cpu_cost : float, optional
        As in `EngineSpec`.
    quality : Quality, optional
        As in `EngineSpec`.
    """

    name: str
    files: tuple[str, ...]
    size_mb: int
    note: str
    stems: tuple[str, ...] = _FOUR
    segment_seconds: float = 44.0
    folder: str = "mdx_final"
    cpu_cost: float | None = None
    quality: Quality | None = None

    @property
    def networks(self) -> int:
        """How many networks it averages."""
        return len(self.files)

    @property
    def network_bytes(self) -> int:
        """Size of one network's weights, in bytes, roughly."""
        return self.size_mb * 1_000_000 // self.networks

    @property
    def summary(self) -> str:
        """One line for lists."""
        return f"{self.note}; about {self.size_mb} MB"

    @property
    def published(self) -> Weights:
        """Its weights as Demucs has published them; its files on the hub are the same in another format."""
        is_transformer = self.name.startswith("htdemucs")
        hub = f"HT{self.name[2:].capitalize()}".replace("_", "-") if is_transformer else f"Demucs-{self.name}"
        return Weights(
            name=self.name,
            files=tuple(WeightFile(f"{file}.th", file[-_DIGITS:]) for file in self.files),
            sources=(WebSource(f"{HUB}adefossez/{hub}"), WebSource(f"{_PUBLISHED}/{self.folder}")),
            licence=LICENCE,
        )

    def to_spec(self) -> EngineSpec:
        """Return it as a spec."""
        spec = make_spec(self.name, self.stems, length=int(self.segment_seconds * SAMPLE_RATE), summary=self.summary)
        return attrs.evolve(
            spec,
            published=self.published,
            download_bytes=self.size_mb * 1_000_000,
            cpu_cost=self.cpu_cost,
            quality=self.quality,
        )


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
        stored="isomix.backends.demucs.weights:list_files",
    )


_HYBRID_TRANSFORMER = "hybrid_transformer"
_MUSDB, _MDX = "MUSDB18-HQ test", "the hidden test set of the Music Demixing Challenge 2021"


def _mean(figure: float, data: str, citation: str) -> Quality:
    return Quality(metric="SDR, dB", data=data, figures=(("mean", figure),), citation=citation)


RELEASES = (
    Release(
        "htdemucs",
        ("955717e8-8726e21a",),
        84,
        "hybrid transformer, the best for its time",
        segment_seconds=7.8,
        folder=_HYBRID_TRANSFORMER,
        cpu_cost=18.0,
    ),
    Release(
        "htdemucs_ft",
        ("f7e0c4bc-ba3fe64a", "d12395a8-e57c48e6", "92cfc3b6-ef3bcb9c", "04573f0d-f3cf25b2"),
        336,
        "one fine-tuned htdemucs per stem: a little better, four times the work for all stems, no more for one",
        segment_seconds=7.8,
        folder=_HYBRID_TRANSFORMER,
        cpu_cost=72.0,
        quality=_mean(9.0, _MUSDB, _README),
    ),
    Release(
        "htdemucs_6s",
        ("5c90dfd2-34c22ccb",),
        55,
        "htdemucs with guitar and piano; the piano is weak",
        (*_FOUR, "guitar", "piano"),
        segment_seconds=7.8,
        folder=_HYBRID_TRANSFORMER,
    ),
    Release(
        "hdemucs_mmi",
        ("75fc33f5-1941ce65",),
        167,
        "hybrid Demucs v3, trained on MusDB and 800 more songs",
        folder=_HYBRID_TRANSFORMER,
    ),
    Release(
        "mdx",
        ("0d19c1c6-0f06f20e", "7ecf8ec1-70f50cc9", "c511e2ab-fe698775", "7d865c68-3d5dd56b"),
        670,
        "four v3 networks trained on MusDB alone, track A of the MDX challenge",
        quality=_mean(7.33, _MDX, _README_3),
    ),
    Release(
        "mdx_extra",
        ("e51eebcc-c1b80bdd", "a1d90b5c-ae9d2452", "5d2d6c55-db83574e", "cfa93e08-61801ae1"),
        670,
        "four v3 networks with more data, MusDB's test songs among it",
        quality=_mean(8.11, _MDX, _README_3),
    ),
    Release(
        "mdx_q",
        ("6b9c2ca1-3fd82607", "b72baf4e-8778635e", "42e558d4-196e0e1b", "305bc58f-18378783"),
        170,
        "mdx quantised: smaller, a little worse; needs diffq",
    ),
    Release(
        "mdx_extra_q",
        ("83fc094f-4a16d450", "464b36d7-e5a9386e", "14fc6a69-a89dd0ee", "7fd6ef75-a905dd85"),
        170,
        "mdx_extra quantised: smaller, a little worse; needs diffq",
    ),
)
"""Sizes as measured or quoted by others; the hub does not promise them. Demucs' authors give figures for the fine-tuned
model and for their entries to the challenge; for the others no figure was found that names them. The costs are those
of docs/performance.md, where networks of the same size were measured; None where none was."""
