"""What several commands share: options of engines, a progress bar, how an error is told."""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager
from typing import Any

from isomix.domain.options import LICENCE_POLICIES, PRECISIONS, RUNTIMES
from isomix.errors import IsomixError
from isomix.progress import Listener, listening

EXIT_FAILED, EXIT_CALLER, EXIT_INTERRUPTED = 1, 2, 130


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how an engine is opened."""
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS, help="arithmetic of the network")
    parser.add_argument("--runtime", default="auto", choices=RUNTIMES, help="what runs it: openvino is fast on a CPU")
    parser.add_argument("--repo", metavar="DIR", help="a file or folder with weights of your own")
    parser.add_argument("--weights-dir", metavar="DIR", help="where downloaded weights live")
    parser.add_argument("--offline", action="store_true", help="never touch the network")
    parser.add_argument("--trust-pickle", action="store_true", help="load weight files that could run code")
    parser.add_argument(
        "--licence", default="any", choices=LICENCE_POLICIES, help="commercial: refuse models not known to allow it"
    )


def get_engine_options(choices: argparse.Namespace) -> dict[str, Any]:
    """Return what was chosen of them."""
    return {
        "device": choices.device,
        "precision": choices.precision,
        "runtime": choices.runtime,
        "repo": choices.repo,
        "weights_dir": choices.weights_dir,
        "offline": choices.offline,
        "trust_pickle": choices.trust_pickle,
        "licence": choices.licence,
    }


def open_bar(choices: argparse.Namespace) -> AbstractContextManager[Listener]:
    """Give a progress bar where somebody can see it."""
    return listening(not choices.quiet and sys.stderr is not None and sys.stderr.isatty())


def tell(error: IsomixError) -> int:
    """Print an error in one line and return its exit code."""
    hint = f" - {error.hint}" if error.hint else ""
    print(f"isomix: {error.message}{hint} [{error.code}]", file=sys.stderr)
    return EXIT_CALLER if error.status_hint < 500 else EXIT_FAILED
