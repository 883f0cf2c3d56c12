"""Cascades: one stem of a first model goes through a second, whose stems take its place.

A plugin declares one of its own by returning a `CascadeSpec` from its ``isomix_engines``.
"""

from __future__ import annotations

import attrs

from isomix.audio.overlap import Segmentation
from isomix.engine import EngineSpec
from isomix.plugins import hookimpl

NOMINAL = Segmentation(length=2**18, hop=2**18)
"""What a spec must state; each part cuts the recording its own way."""


@attrs.frozen(kw_only=True)
class CascadeSpec(EngineSpec):
    """A model made of two others, from any plugins.

    Nothing is looked up here, so that models can be listed without opening one. What is stated is compared with the
    parts when the cascade is opened, and a `PluginError` tells what does not fit.

    Parameters
    ----------
    first : str
        The model that hears the mixture.
    stem : str
        Its stem that is passed on and does not come out.
    second : str
        The model that hears that stem as its mixture; it must not need the track normalized.
    stems : tuple of str
        In the order they come out: the first's without ``stem``, and all of the second's.
    sample_rate, channels
        Those of both parts.
    normalization : {"none", "track"}
        That of the first.
    licence, commercial_use
        The stricter of the parts'.
    **shared
        The other fields of `EngineSpec`; ``factory`` and ``segmentation`` are as every cascade has them.

    Examples
    --------
    >>> stems = ("vocals", "drums", "bass", "other")
    >>> CascadeSpec(name="mine", first="spleeter:2stems", stem="accompaniment", second="hpss", stems=stems).parts
    ('spleeter:2stems', 'hpss')
    """

    first: str
    stem: str
    second: str
    factory: str = "isomix.backends.cascade.engine:open_cascade"
    segmentation: Segmentation = NOMINAL

    @property
    def parts(self) -> tuple[str, str]:
        """Names of the models it is made of; their weights are what it needs."""
        return self.first, self.second


SPLEETER_HPSS = CascadeSpec(
    name="spleeter+hpss",
    first="spleeter:2stems",
    stem="accompaniment",
    second="hpss",
    stems=("vocals", "drums", "bass", "other"),
    summary="Vocals by Spleeter, its accompaniment split by median filters: four stems from one small download.",
    extra="spleeter",
    cpu_cost=1.4,
)


@hookimpl
def isomix_engines() -> list[EngineSpec]:
    """Return the cascades that isomix ships."""
    return [SPLEETER_HPSS]
