"""The door to the engines of `isomix.testing.engines`: each can be named, none is listed."""

from __future__ import annotations

from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec
from isomix.plugins import hookimpl
from isomix.testing.engines import find_testing_spec


@hookimpl
def isomix_engines() -> list[EngineSpec]:
    """Return nothing: whoever chooses a model is not to see them."""
    return []


@hookimpl
def isomix_find_engine(name: str, options: EngineOptions) -> EngineSpec | None:  # noqa: ARG001 - the hook's signature
    """Return the engine of a name that starts with ``testing:``.

    Parameters
    ----------
    name : str
        Such as ``"testing:tiny"``.
    options : EngineOptions
        None of them counts.
    """
    return find_testing_spec(name)
