"""Engines that stay loaded between jobs, under a memory budget."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from isomix.domain.options import EngineOptions
from isomix.domain.recipe import Recipe
from isomix.errors import IsomixError
from isomix.models.inventory import list_files
from isomix.plugins import installed
from isomix.progress import ProgressLike
from isomix.runtime.machine import get_resident_bytes
from isomix.separation import Separator


def identify_weights(model: str) -> str:
    """Return what tells the files of a model's weights from others, as they are on this machine now.

    Parameters
    ----------
    model : str
        Name of the model.

    Returns
    -------
    str
        A digest; nothing for a model without files, or one whose files cannot be told yet.

    Examples
    --------
    >>> identify_weights("hpss")
    ''
    """
    options = EngineOptions(offline=True)
    try:
        files = list_files(installed().get_spec(model, options), options)
    except IsomixError:  # whoever loads the model says what is wrong
        return ""
    facts = "\n".join(f"{file.name} {file.sha256}" for file in files)
    return hashlib.sha256(facts.encode()).hexdigest() if files else ""


@attrs.define
class _Loaded:
    separator: Separator
    size_bytes: int
    weights: str
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
    def lend(self, recipe: Recipe, weights: str, progress: ProgressLike = None) -> Iterator[tuple[Separator, str]]:
        """Give a separator for a recipe, loaded now if it is not yet or has other weights; and say which it has.

        Raises
        ------
        EngineError, UnknownModel, UnknownStem, InvalidOptions
            If it cannot be loaded.
        """
        with self._lock:
            loaded = self._loaded.get(recipe)
            if loaded is None or loaded.weights != weights:
                loaded = self._load(recipe, progress)
            self._loaded.move_to_end(recipe)
            loaded.users += 1
        try:
            yield loaded.separator, loaded.weights
        finally:
            with self._lock:
                loaded.users -= 1
                self._close_unless_needed(recipe, loaded)

    def close(self) -> None:
        """Let go of all; what is lent must have come back."""
        with self._lock:
            while self._loaded:
                self._loaded.popitem()[1].separator.close()

    def _load(self, recipe: Recipe, progress: ProgressLike) -> _Loaded:
        if (former := self._loaded.pop(recipe, None)) is not None:
            self._close_unless_needed(recipe, former)
        before = get_resident_bytes()
        separator = Separator(
            recipe.model, stems=recipe.stems, progress=progress, device=self._device, **recipe.choices
        )
        size_bytes = max(0, get_resident_bytes() - before)
        loaded = _Loaded(separator, size_bytes, identify_weights(recipe.model))
        self._make_room(self._budget_bytes - loaded.size_bytes)
        self._loaded[recipe] = loaded
        return loaded

    def _close_unless_needed(self, recipe: Recipe, loaded: _Loaded) -> None:
        """Close what has been replaced, as soon as nobody uses it."""
        if not loaded.users and self._loaded.get(recipe) is not loaded:
            loaded.separator.close()

    def _make_room(self, left_bytes: int) -> None:
        """Close idle engines, longest unused first, until the others fit."""
        for recipe, loaded in list(self._loaded.items()):
            if sum(other.size_bytes for other in self._loaded.values()) <= left_bytes:
                return
            if not loaded.users:
                del self._loaded[recipe]
                loaded.separator.close()
