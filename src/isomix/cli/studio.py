"""``isomix worker``, ``db``, ``sweep`` and ``doctor``: what the operators of a studio need."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs

from isomix._version import __version__
from isomix.cli.options import EXIT_FAILED
from isomix.errors import IsomixError
from isomix.settings import StudioSettings, get_weights_dir

_EXTRAS = {
    "spleeter": ("torch", "safetensors", "google_crc32c"),
    "demucs": ("torch", "demucs"),
    "openvino": ("openvino",),
    "av": ("av",),
    "studio": ("sqlalchemy", "alembic"),
    "redis": ("celery", "redis"),
    "postgres": ("psycopg",),
    "s3": ("s3fs",),
    "http": ("aiohttp",),
    "app": ("fastapi", "uvicorn", "python_multipart"),
    "evaluate": ("museval", "matplotlib"),
}


def add_worker(parser: argparse.ArgumentParser) -> None:
    """Describe ``isomix worker``."""
    _add_addresses(parser)
    parser.add_argument("--routes", help="only jobs of these routes, by commas (default: all; see ISOMIX_ROUTES)")
    parser.add_argument(
        "--processes", type=int, default=1, help="jobs at once, each with models of its own (default: 1)"
    )
    parser.set_defaults(run=_worker)


def add_database(parser: argparse.ArgumentParser) -> None:
    """Describe ``isomix db``."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    upgrade = commands.add_parser("upgrade", help="bring the schema up to date")
    upgrade.add_argument("--database", metavar="URL", help="instead of ISOMIX_DATABASE")
    upgrade.set_defaults(run=_upgrade)


def add_sweep(parser: argparse.ArgumentParser) -> None:
    """Describe ``isomix sweep``."""
    _add_addresses(parser)
    parser.set_defaults(run=_sweep)


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Describe ``isomix doctor``."""
    _add_addresses(parser)
    parser.set_defaults(run=_doctor)


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", metavar="URL", help="instead of ISOMIX_DATABASE")
    parser.add_argument("--storage", metavar="URL", help="instead of ISOMIX_STORAGE")
    parser.add_argument("--queue", metavar="URL", help="instead of ISOMIX_QUEUE")


def _settings(choices: argparse.Namespace, **given: Any) -> StudioSettings:
    return StudioSettings.from_environment(
        None, database=choices.database, storage=choices.storage, queue=choices.queue, **given
    )


def _worker(choices: argparse.Namespace) -> int:
    from isomix.worker import serve_jobs

    settings = _settings(choices)
    routes = tuple(part.strip() for part in choices.routes.split(",")) if choices.routes else settings.list_routes()
    return serve_jobs(settings, routes=routes, processes=choices.processes)


def _upgrade(choices: argparse.Namespace) -> int:
    from isomix.persistence import open_database

    database = open_database(StudioSettings.from_environment(None, database=choices.database).database)
    try:
        database.upgrade()
        print(f"{database.url}: up to date")
    finally:
        database.close()
    return 0


def _sweep(choices: argparse.Namespace) -> int:
    from isomix.composition import compose, find_limits
    from isomix.studio import Studio

    settings = _settings(choices)
    limits_of = find_limits(settings.limits)
    with Studio(compose(settings, limits_of, works=False), settings, limits_of) as studio:
        report = studio.sweep()
    print(
        f"{report.jobs_recovered} jobs recovered, {report.projects_expired} projects past their time, "
        f"{report.orphans_deleted} orphans and {report.staging_deleted} left-over folders deleted"
    )
    return 0


def _doctor(choices: argparse.Namespace) -> int:
    """Print a line a thing, and return 1 if one of them is broken."""
    print(f"isomix       {__version__} on Python {sys.version.split()[0]}")
    installed = {extra: all(map(find_spec, modules)) for extra, modules in _EXTRAS.items()}
    for extra, is_here in installed.items():
        print(f"{extra:<12} " + ("installed" if is_here else f'not installed: pip install "isomix[{extra}]"'))
    weights = get_weights_dir()
    print(f"weights      {weights}: " + _describe_folder(weights))
    if not installed["studio"]:
        return 0
    settings = _settings(choices)
    return _examine_studio(attrs.evolve(settings, auto_upgrade=False))


def _describe_folder(folder: Path) -> str:
    present = next(path for path in (folder, *folder.parents) if path.exists())
    return "writable" if os.access(present, os.W_OK) else "NOT writable"


def _examine_studio(settings: StudioSettings) -> int:
    _, is_file, path = settings.database.partition("sqlite:///")
    if is_file and not Path(path).exists():
        print(f"studio       not used yet: {path} is made by the first `Studio.open`, or by `isomix db upgrade`")
        return 0
    from isomix.composition import compose, find_limits
    from isomix.studio import Studio

    try:
        limits_of = find_limits(settings.limits)
        with Studio(compose(settings, limits_of, works=False), settings, limits_of) as studio:
            health, ports = studio.health(), studio.ports
            names = {"database": ports.database.url, "storage": ports.store.url, "queue": ports.queue.name}
    except IsomixError as error:
        print(f"studio       BROKEN: {error}")
        return EXIT_FAILED
    for part, word in health.items():
        print(f"{part:<12} {names.get(part, 'in this studio')}: {word}")
    broken = [part for part in names if health[part] != "ok"]
    return EXIT_FAILED if broken else 0
