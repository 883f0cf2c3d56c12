"""``isomix evaluate``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from isomix.errors import InvalidOptions, StorageError

if TYPE_CHECKING:
    from isomix.evaluation import Evaluation, Hints


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("reference", metavar="REFERENCE_DIR", help="folder of true stems; with --hints, the mixture")
    parser.add_argument("estimates", metavar="ESTIMATE_DIR", help="folder of the stems to be judged")
    parser.add_argument("--hints", action="store_true", help="there are no true stems: look for what is plainly wrong")
    parser.add_argument("--bss-eval", action="store_true", help="also BSS Eval version 4 by museval: slow")
    parser.add_argument("--plot", metavar="FILE", help="also draw a chart, such as scores.png")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


def _run(choices: argparse.Namespace) -> int:
    found = _look(choices)
    if choices.plot:
        _save_plot(found, choices.plot)
    print(json.dumps(found.to_dict(), indent=2) if choices.json else found.to_text())
    return 0


def _look(choices: argparse.Namespace) -> Evaluation | Hints:
    from isomix.evaluation import evaluate, inspect_stems

    if not choices.hints:
        return evaluate(choices.reference, choices.estimates, bss_eval=choices.bss_eval)
    if choices.bss_eval:
        raise InvalidOptions("--bss-eval needs true stems, --hints has none", option="bss_eval", value=True)
    return inspect_stems(choices.reference, choices.estimates)


def _save_plot(found: Evaluation | Hints, path: str) -> None:
    figure = found.plot()
    try:
        figure.savefig(path)
    except ValueError as error:  # the name's ending is no format that matplotlib writes
        raise InvalidOptions(f"{path} cannot be drawn: {error}", option="plot", value=path) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}", path=path) from error
