"""Charts of what was measured: ``build/bench/*.json`` to ``docs/images/*.svg``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

BENCH, IMAGES = Path("build", "bench"), Path("docs", "images")
COLOURS = {"demucs": "#9aa0a6", "spleeter": "#9aa0a6"}
OURS = "#2563eb"


def run() -> dict[str, Any]:
    """Draw every chart whose figures are there; return the names of the files."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    # The same figures give the same file: no date, no random ids.
    mpl.rcParams.update(
        {"svg.hashsalt": "isomix", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    drawn = []
    if (BENCH / "versus.json").exists():
        figures = json.loads((BENCH / "versus.json").read_text())
        drawn = [draw_case(title, rows) for title, rows in figures.items() if "4 min" in title]
    if (BENCH / "memory.json").exists():
        drawn.append(draw_memory(json.loads((BENCH / "memory.json").read_text())))
    print("\n".join(drawn))
    return {"charts": drawn}


def draw_case(title: str, rows: dict[str, Any]) -> str:
    """Draw one comparison: speed beside peak memory."""
    names = [name if name in COLOURS else f"isomix, {name}" for name in rows]
    colours = [COLOURS.get(name, OURS) for name in rows]
    figure, (speed, memory) = plt.subplots(1, 2, figsize=(8, 0.5 + 0.4 * len(rows)), sharey=True, layout="constrained")
    bars = speed.barh(names, [row["real_time_factor"] for row in rows.values()], color=colours)
    peer = next(iter(rows))
    labels = [f" {row['speed_ratio']:.1f} x {peer}" if name != peer else "" for name, row in rows.items()]
    speed.bar_label(bars, labels)
    speed.margins(x=0.3)
    speed.set(xlabel="times real time", title=title)
    bars = memory.barh(names, [row["peak_bytes"] / 1e9 for row in rows.values()], color=colours)
    memory.bar_label(bars, [f" {row['peak_bytes'] / 1e9:.1f} GB" for row in rows.values()])
    memory.set(xlabel="peak memory, GB")
    speed.invert_yaxis()
    return save(figure, title.lower().replace(",", "").replace(" ", "-"))


def draw_memory(models: dict[str, Any]) -> str:
    """Draw peak memory against length."""
    figure, axes = plt.subplots(figsize=(6, 2.5), layout="constrained")
    for name, row in models.items():
        axes.plot(row["minutes"], [peak / 1e6 for peak in row["peak_bytes"]], marker="o", label=name)
    axes.set(xlabel="minutes of audio", ylabel="peak memory, MB", ylim=(0, None), title="Memory against length")
    figure.legend(frameon=False, fontsize=7, loc="outside right center")
    return save(figure, "memory")


def save(figure: Any, name: str) -> str:
    """Write a figure and return its path."""
    path = IMAGES / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return str(path)
