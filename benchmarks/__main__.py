"""Run benchmarks by name, or all of them, and keep their figures as JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
from pathlib import Path

NAMES = ("memory", "speed", "planning", "studio", "http", "versus", "joins", "anatomy", "charts")


def main() -> None:
    """Run what was named and write ``build/bench/<name>.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(NAMES))
    folder = Path("build", "bench")
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    for name in parser.parse_args().names or NAMES:
        figures = importlib.import_module(f"benchmarks.{name}").run()
        (folder / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
