"""``isomix models``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isomix.cli.options import EXIT_CALLER, EXIT_FAILED, add_engine_options, get_engine_options, open_bar
from isomix.errors import EngineUnavailable
from isomix.plugins import installed, list_models
from isomix.settings import get_weights_dir

if TYPE_CHECKING:
    from isomix.models import Bundle, FileReport, ModelInfo


def add_models(parser: argparse.ArgumentParser) -> None:
    """Describe the commands."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="what can be named as a model")
    listing.set_defaults(run=_list)
    about = commands.add_parser("info", help="all that is known of models")
    about.add_argument("models", nargs="+", metavar="MODEL", help="see `isomix models list`")
    about.set_defaults(run=_info)
    check = commands.add_parser("verify", help="check the files that are here")
    check.add_argument("models", nargs="*", metavar="MODEL", help="without any: all that have files here")
    check.add_argument("--weights-dir", metavar="DIR", help="where weights live")
    check.set_defaults(run=_verify)
    for command in (listing, about, check):
        command.add_argument("--json", action="store_true", help="print one JSON array")
    _add_changing(commands)
    commands.add_parser("path", help="where weights live").set_defaults(run=_path)


def _add_changing(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    pull = commands.add_parser("pull", help="fetch and verify weights")
    pull.add_argument("models", nargs="+", metavar="MODEL", help="see `isomix models list`")
    add_engine_options(pull)
    pull.set_defaults(run=_pull)
    pack = commands.add_parser("bundle", help="write models into one archive, for a machine without a network")
    pack.add_argument("models", nargs="+", metavar="MODEL", help="what is not here is fetched first")
    pack.add_argument("-o", "--output", required=True, metavar="FILE", help="the archive, such as models.zip")
    pack.add_argument("--offline", action="store_true", help="never touch the network")
    pack.set_defaults(run=_bundle)
    for command in (pull, pack):
        command.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    bring = commands.add_parser("import", help="take weights from a bundle, or a model's from a file or folder")
    bring.add_argument("what", nargs="+", metavar="BUNDLE | MODEL PATH", help="a bundle; or a model and its files")
    bring.set_defaults(run=_import)
    drop = commands.add_parser("remove", help="delete models' files, but for those that other models share")
    drop.add_argument("models", nargs="+", metavar="MODEL", help="see `isomix models list`")
    drop.add_argument("--shared", action="store_true", help="also those that other models share")
    drop.set_defaults(run=_remove)
    for command in (pack, bring, drop):
        command.add_argument("--weights-dir", metavar="DIR", help="where weights live")


def _list(choices: argparse.Namespace) -> int:
    infos = _get_infos([model.name for model in list_models()])
    if choices.json:
        print(json.dumps([info.to_dict() for info in infos], indent=2))
        return 0
    width = max(len(info.name) for info in infos)
    for info in infos:
        needs = f"needs isomix[{info.extra}]" if info.extra else ""
        about = "; ".join(filter(None, (info.summary, needs)))
        licence = f"licence: {info.licence}; commercial use: {info.commercial_use}"
        print(f"{info.name:<{width}}  {', '.join(info.stems)}")
        print("".join(f"{'':<{width}}    {line}\n" for line in (about, _figures(info), licence) if line), end="")
    print("\nWithout -m, isomix separate takes htdemucs.")
    for name, distributions in installed().list_conflicts():
        print(f"isomix: {name} is offered by {' and by '.join(distributions)}: left out", file=sys.stderr)
    for plugin in installed().broken:
        print(f"isomix: plugin {plugin.name} of {plugin.distribution} is broken: {plugin.error}", file=sys.stderr)
    return 0


def _get_infos(names: Sequence[str]) -> list[ModelInfo]:
    from isomix.models import get_info

    return [get_info(name) for name in names]


def _figures(info: ModelInfo) -> str:
    size = "" if info.size_bytes is None else f"download: {_megabytes(info.size_bytes)}"
    cost = "" if info.cpu_cost is None else f"CPU cost: {info.cpu_cost:g} x spleeter:2stems"
    return "; ".join(filter(None, (size, cost)))


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes} bytes" if 0 < size_bytes < 1_000_000 else f"{size_bytes / 1e6:.0f} MB"


def _info(choices: argparse.Namespace) -> int:
    infos = _get_infos(choices.models)
    if choices.json:
        print(json.dumps([info.to_dict() for info in infos], indent=2))
    else:
        print("\n\n".join(map(_describe, infos)))
    return 0


def _describe(info: ModelInfo) -> str:
    rows = {
        "": info.summary,
        "engine": f"{info.engine} (needs isomix[{info.extra}])" if info.extra else info.engine,
        "made of": ", ".join(info.parts),
        "stems": ", ".join(info.stems),
        "works at": f"{info.sample_rate} Hz, {info.channels} channels",
        "download": "unknown" if info.size_bytes is None else _megabytes(info.size_bytes),
        "licence": info.licence,
        "commercial use": info.commercial_use,
        "sources": ", ".join(info.sources),
        "files": "; ".join(f"{file.name} (sha256 {file.sha256 or 'unknown'})" for file in info.files),
        "quality": str(info.quality or "no published figure known"),
        "CPU cost": "not measured" if info.cpu_cost is None else f"{info.cpu_cost:g} x spleeter:2stems",
    }
    return "\n".join([info.name, *(f"  {name:<15} {value}" for name, value in rows.items() if value)])


def _pull(choices: argparse.Namespace) -> int:
    from isomix.models import pull

    for name in choices.models:
        with open_bar(choices) as bar:
            pull(name, on_progress=bar, **get_engine_options(choices))
        print(f"{name}: ready")
    return 0


def _verify(choices: argparse.Namespace) -> int:
    from isomix.models import verify
    from isomix.models.store import WeightsStore

    folder = choices.weights_dir
    named = {name: verify(name, weights_dir=folder) for name in choices.models}
    reports = named or _verify_all(folder)
    if not reports:
        print(f"isomix: no model's files are in {WeightsStore(folder).folder}", file=sys.stderr)
    if choices.json:
        print(json.dumps([_to_facts(name, report) for name, found in reports.items() for report in found], indent=2))
    else:
        print("".join(line for name, found in reports.items() for line in _tell_files(name, found)), end="")
    return EXIT_FAILED if any(report.status != "ok" for found in reports.values() for report in found) else 0


def _verify_all(weights_dir: str | None) -> dict[str, list[FileReport]]:
    """Check the listed models of which anything is here."""
    from isomix.models import verify

    reports = {}
    for model in list_models():
        try:
            found = verify(model.name, weights_dir=weights_dir)
        except EngineUnavailable as error:
            print(f"isomix: {error.message}", file=sys.stderr)
            continue
        if any(report.status != "missing" for report in found):
            reports[model.name] = found
    return reports


def _to_facts(model: str, report: FileReport) -> dict[str, str | None]:
    return {
        "model": model,
        "file": report.name,
        "status": report.status,
        "path": None if report.path is None else str(report.path),
        "checked_by": report.checked_by,
        "reason": report.reason,
    }


def _tell_files(model: str, reports: Sequence[FileReport]) -> list[str]:
    if not reports:
        return [f"{model}: ok (it needs no weights)\n"]
    told = [(report, report.reason or report.checked_by) for report in reports]
    return [f"{model}: {report.name}: {report.status}{f' ({about})' if about else ''}\n" for report, about in told]


def _bundle(choices: argparse.Namespace) -> int:
    from isomix.models import bundle

    with open_bar(choices) as bar:
        written = bundle(
            choices.models,
            choices.output,
            weights_dir=choices.weights_dir,
            offline=choices.offline,
            on_progress=bar,
        )
    _tell_bundle(choices.output, written)
    return 0


def _import(choices: argparse.Namespace) -> int:
    from isomix.models import import_bundle, import_weights

    match choices.what:
        case [path]:
            _tell_bundle(path, import_bundle(path, weights_dir=choices.weights_dir))
        case [model, path]:
            import_weights(model, path, weights_dir=choices.weights_dir)
            print(f"{model}: ready")
        case _:
            print("isomix: import takes a bundle, or a model and a path [invalid_options]", file=sys.stderr)
            return EXIT_CALLER
    return 0


def _tell_bundle(path: str, bundle: Bundle) -> None:
    print(f"{path}: {', '.join(bundle.models)}; {len(bundle.files)} files, {_megabytes(bundle.size_bytes)}")
    print(f"sha256 {bundle.sha256}")


def _remove(choices: argparse.Namespace) -> int:
    from isomix.models import remove

    removal = remove(*choices.models, weights_dir=choices.weights_dir, shared=choices.shared)
    for name in removal.removed:
        print(f"removed {name}")
    for name, models in removal.kept.items():
        print(f"kept {name}: {', '.join(models)} need it; name them too, or --shared")
    for path in removal.elsewhere:
        print(f"left {path}: it is another program's")
    print(f"{_megabytes(removal.freed_bytes)} freed")
    return 0


def _path(_: argparse.Namespace) -> int:
    print(get_weights_dir())
    return 0
