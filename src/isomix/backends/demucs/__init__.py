"""Demucs' released models, and any other bag or network that Demucs could read. Light: torch comes with the factory."""

from __future__ import annotations

from collections.abc import Iterable

from isomix.backends.demucs.catalog import HUB, RELEASES, make_spec
from isomix.backends.demucs.folder import find_networks, is_published
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec
from isomix.plugins import hookimpl

_STEMS_UNREAD = ("unknown",)


@hookimpl
def isomix_engines() -> Iterable[EngineSpec]:
    """Return the released models."""
    return [release.to_spec() for release in RELEASES]


@hookimpl
def isomix_find_engine(name: str, options: EngineOptions) -> EngineSpec | None:
    """Describe a model that has no name among the released: ``hf://`` names, signatures, folders of the user's.

    The files of such a model have to be read, and for ``hf://`` perhaps fetched, to know its stems.

    Parameters
    ----------
    name : str
        A bag's name, a network's signature, or ``"hf://namespace/name"``.
    options : EngineOptions
        ``repo``, ``weights_dir``, ``offline``, ``trust_pickle`` and ``on_progress`` count.

    Returns
    -------
    EngineSpec or None
        None if the name is not one of Demucs'.

    Raises
    ------
    WeightsUnavailable
        If it is, but its files cannot be had.
    LicenceRefused
        If the options ask for commercial use: nobody has said that these allow it.
    """
    if not (name.startswith(HUB) or _is_known(name, options)):
        return None
    make_spec(name, _STEMS_UNREAD, length=1, summary="").check_licence(options)  # before anything is fetched
    from isomix.backends.demucs.opening import describe

    return describe(name, options)


def _is_known(name: str, options: EngineOptions) -> bool:
    """Tell whether a name means something in the user's file or folder, or without one to Demucs itself."""
    repo = options.repo
    is_released = any(release.name == name for release in RELEASES)
    if repo is None:
        return not is_released and is_published(name)
    networks = find_networks(repo)
    is_named = repo.is_file() or is_released or name in networks or (repo / f"{name}.yaml").is_file()
    return bool(networks) and is_named
