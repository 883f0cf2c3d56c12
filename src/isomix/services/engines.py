"""Engines that stay loaded between jobs, under a memory budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from isomix.domain.recipe import Recipe
from isomix.progress import ProgressLike
from isomix.runtime.machine import get_resident_bytes
from isomix.separation import Separator


@attrs.define
class _Loaded:
    separator: Separator
    size_bytes: int
    users: int = 0


class EnginePool:
    """Lends separators, and closes those that were not used for longest when memory runs short.

    Parameters
    ----------
    budget_bytes : int
        What all of them may take together, by how much each made the process grow. One is kept in any case.
    device : str
        Where networks run.
    """

    def __init__(self, budget_bytes: int, device: str = "auto") -> None:
        self._budget_bytes, self._device = budget_bytes, device
        self._loaded: OrderedDict[Recipe, _Loaded] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, recipe: Recipe, progress: ProgressLike = None) -> Iterator[Separator]:
        """Give a separator for a recipe, loaded now if it is not yet.

        Raises
        ------
        EngineError, UnknownModel, UnknownStem, InvalidOptions
            If it cannot be loaded.
        """
        with self._lock:
            loaded = self._loaded.get(recipe) or self._load(recipe, progress)
            self._loaded.move_to_end(recipe)
            loaded.users += 1
        try:
            yield loaded.separator
        finally:
            with self._lock:
                loaded.users -= 1

    def close(self) -> None:
        """Let go of all; what is lent must have come back."""
        with self._lock:
            while self._loaded:
                self._loaded.popitem()[1].separator.close()

    def _load(self, recipe: Recipe, progress: ProgressLike) -> _Loaded:
        before = get_resident_bytes()
        separator = Separator(
            recipe.model, stems=recipe.stems, progress=progress, device=self._device, **recipe.choices
        )
        loaded = _Loaded(separator, max(0, get_resident_bytes() - before))
        self._make_room(self._budget_bytes - loaded.size_bytes)
        self._loaded[recipe] = loaded
        return loaded

    def _make_room(self, left_bytes: int) -> None:
        """Close idle engines, longest unused first, until the others fit."""
        for recipe, loaded in list(self._loaded.items()):
            if sum(other.size_bytes for other in self._loaded.values()) <= left_bytes:
                return
            if not loaded.users:
                del self._loaded[recipe]
                loaded.separator.close()
