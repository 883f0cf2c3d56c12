"""``isomix models``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from isomix.cli.options import add_engine_options, get_engine_options, open_bar
from isomix.domain.options import EngineOptions
from isomix.plugins import installed, list_models, open_engine
from isomix.settings import get_weights_dir, offline_requested


def add_models(parser: argparse.ArgumentParser) -> None:
    """Describe the commands."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="what can be named as a model")
    listing.add_argument("--json", action="store_true", help="print one JSON array")
    listing.set_defaults(run=_list)
    pull = commands.add_parser("pull", help="fetch and verify weights")
    pull.add_argument("models", nargs="+", metavar="MODEL", help="see `isomix models list`")
    pull.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    add_engine_options(pull)
    pull.set_defaults(run=_pull)
    bring = commands.add_parser("import", help="take weights from a file or folder")
    bring.add_argument("model", metavar="MODEL", help="see `isomix models list`")
    bring.add_argument("repo", metavar="PATH", help="a folder, file or archive that has them")
    bring.add_argument("--weights-dir", metavar="DIR", help="where they are to live")
    bring.set_defaults(run=_import)
    commands.add_parser("path", help="where weights live").set_defaults(run=_path)


def _list(choices: argparse.Namespace) -> int:
    models = list_models()
    if choices.json:
        print(json.dumps([_facts(model) for model in models], indent=2))
        return 0
    width = max(len(model.name) for model in models)
    for model in models:
        needs = f"needs isomix[{model.extra}]" if model.extra else ""
        about = "; ".join(filter(None, (model.summary, needs)))
        licence = f"licence: {model.licence}; commercial use: {model.commercial_use}"
        print(f"{model.name:<{width}}  {', '.join(model.stems)}")
        print("".join(f"{'':<{width}}    {line}\n" for line in (about, licence) if line), end="")
    print("\nWithout -m, isomix separate takes htdemucs.")
    for name, distributions in installed().list_conflicts():
        print(f"isomix: {name} is offered by {' and by '.join(distributions)}: left out", file=sys.stderr)
    for plugin in installed().broken:
        print(f"isomix: plugin {plugin.name} of {plugin.distribution} is broken: {plugin.error}", file=sys.stderr)
    return 0


def _facts(model: Any) -> dict[str, Any]:
    fields = ("name", "stems", "sample_rate", "channels", "summary", "licence", "commercial_use", "extra")
    return {name: getattr(model, name) for name in fields}


def _pull(choices: argparse.Namespace) -> int:
    """Open each model once: what opens has its weights, whole and verified."""
    asked = get_engine_options(choices)
    asked["offline"] = asked["offline"] or offline_requested()
    for name in choices.models:
        with open_bar(choices) as bar:
            options = EngineOptions(on_progress=bar, **asked)
            open_engine(installed().get_spec(name, options), options).close()
        print(f"{name}: ready")
    return 0


def _import(choices: argparse.Namespace) -> int:
    options = EngineOptions(repo=choices.repo, keep=True, weights_dir=choices.weights_dir, offline=True)
    open_engine(installed().get_spec(choices.model, options), options).close()
    print(f"{choices.model}: ready")
    return 0


def _path(_: argparse.Namespace) -> int:
    print(get_weights_dir())
    return 0
