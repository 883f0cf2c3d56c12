"""Bring a model's weights onto this machine from the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from isomix.domain.options import EngineChoices, EngineOptions
from isomix.domain.progress import Progress
from isomix.models.inventory import list_files
from isomix.plugins import installed, open_engine
from isomix.settings import offline_requested


def pull(
    model: str, *, on_progress: Callable[[Progress], None] | None = None, **options: Unpack[EngineChoices]
) -> None:
    """Fetch a model's weights if they are not here. The model is opened once: what opens has them, whole and verified.

    Parameters
    ----------
    model : str
        One of `isomix.list_models`, or a name that a plugin understands.
    on_progress : callable, optional
        Told how far the download is.
    **options
        Fields of `isomix.EngineOptions`.

    Raises
    ------
    WeightsUnavailable
        If no source has them.
    LicenceRefused
        With ``licence="commercial"``, if the model is not known to allow it; nothing has been fetched then.

    Examples
    --------
    >>> pull("hpss")
    """
    options["offline"] = options.get("offline", False) or offline_requested()
    asked = EngineOptions(on_progress=on_progress, **options)
    open_engine(installed().get_spec(model, asked), asked).close()


def is_here(model: str, *, weights_dir: str | Path | None = None) -> bool:
    """Tell whether a model's files are on this machine; what they contain is not looked at.

    Parameters
    ----------
    model : str
        One of `isomix.list_models`.
    weights_dir : path, optional
        The weights folder.

    Examples
    --------
    >>> is_here("hpss"), is_here("spleeter:5stems", weights_dir="empty")
    (True, False)
    """
    options = EngineOptions(weights_dir=weights_dir, offline=True)
    return not any(file.is_missing or file.flaw for file in list_files(installed().get_spec(model, options), options))
