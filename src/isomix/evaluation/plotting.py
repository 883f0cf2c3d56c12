"""Bars by stem. matplotlib is imported when somebody plots, and its global state is never touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isomix.errors import EngineUnavailable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GROUP_WIDTH = 0.8


def open_figure(*, width: float, height: float = 4.0) -> Figure:
    """Return an empty figure that no window or notebook owns.

    Parameters
    ----------
    width, height : float
        In inches.

    Raises
    ------
    EngineUnavailable
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EngineUnavailable("matplotlib is not installed", hint='pip install "isomix[evaluate]"') from error
    return Figure(figsize=(width, height), layout="constrained")


def draw_bars(axes: Axes, names: Sequence[str], columns: Mapping[str, Mapping[str, float | None]]) -> None:
    """Draw a group of bars for each name; what is None has none.

    Parameters
    ----------
    axes : Axes
        Where.
    names : sequence of str
        The groups.
    columns : mapping of str to mapping of str to float or None
        By label, the values of each name.
    """
    width = _GROUP_WIDTH / len(columns)
    for position, (label, values) in enumerate(columns.items()):
        told = [(place, value) for place, name in enumerate(names) if (value := values[name]) is not None]
        shift = (position + 0.5) * width - _GROUP_WIDTH / 2
        axes.bar([place + shift for place, _ in told], [value for _, value in told], width, label=label)
    axes.set_xticks(range(len(names)), names)
    axes.axhline(0, color="grey", linewidth=0.8)
    if len(columns) > 1:
        axes.legend()
