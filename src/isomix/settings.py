"""What the environment says; the only module that reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import attrs
import platformdirs

from isomix.errors import InvalidOptions

WEIGHTS_DIR = "ISOMIX_WEIGHTS_DIR"
OFFLINE = ("ISOMIX_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
PREFIX = "ISOMIX_"
DEFAULT_ROUTE = "default"
_TRUE = ("1", "on", "true", "yes")
_FALSE = ("0", "off", "false", "no")


def get_weights_dir() -> Path:
    """Return the folder of downloaded weights: ISOMIX_WEIGHTS_DIR, else one in the platform's cache.

    Returns
    -------
    Path
        It need not exist.
    """
    named = os.environ.get(WEIGHTS_DIR)
    return (
        Path(named).expanduser() if named else Path(platformdirs.user_cache_path("isomix", appauthor=False), "weights")
    )


def offline_requested() -> bool:
    """Tell whether the environment forbids downloads: ISOMIX_OFFLINE, HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE.

    Returns
    -------
    bool
    """
    return any(os.environ.get(name, "").strip().lower() in _TRUE for name in OFFLINE)


def get_data_dir() -> Path:
    """Return where a studio that is told nothing keeps its projects: ISOMIX_DATA_DIR, else the platform's data folder.

    Returns
    -------
    Path
        It need not exist.
    """
    named = os.environ.get(f"{PREFIX}DATA_DIR")
    return Path(named).expanduser() if named else Path(platformdirs.user_data_path("isomix", appauthor=False))


def _default_database() -> str:
    return f"sqlite:///{get_data_dir() / 'isomix.db'}"


def _default_storage() -> str:
    return str(get_data_dir() / "objects")


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise InvalidOptions(f"{attribute.name} must be above 0, not {value!r}", option=attribute.name, value=value)


def check_model(model: object) -> None:
    """Refuse a model that is not given by its name: jobs travel to other processes, and only a name does.

    Raises
    ------
    InvalidOptions
        If it is an `isomix.Ensemble`, an `isomix.engine.EngineSpec`, a path or anything else.
    """
    if not isinstance(model, str):
        raise InvalidOptions(
            f"a studio's model is a name, not {type(model).__name__}",
            hint="name one of `isomix.list_models()`; `isomix.separate` takes ensembles and specs",
            option="model",
            value=type(model).__name__,
        )


def _is_name(_: object, __: attrs.Attribute[Any], value: object) -> None:
    check_model(value)


@attrs.frozen(kw_only=True)
class StudioSettings:
    """Everything a studio can be told, by arguments or by ``ISOMIX_*`` variables of the same names in capitals.

    Parameters
    ----------
    database : str
        ``"sqlite:///FILE"``, ``"postgresql://USER:PASSWORD@HOST/NAME"`` or ``"memory://"``.
    storage : str
        A folder or an fsspec URL: ``"s3://BUCKET/PREFIX"``, ``"memory://NAME"``.
    storage_options : mapping
        Keyword arguments of the fsspec file system; a JSON object in the environment.
    queue : str
        ``"inline"`` (in the caller), ``"background"`` (one thread of this process) or ``"redis://HOST:PORT/DB"``
        (Celery workers, anywhere).
    model : str
        What is taken where an upload names no model.
    limits : str
        What owners may do: ``"unlimited"``, ``"free"``, ``"pro"``, or ``"package.module:function"`` that returns the
        `isomix.Limits` of an owner.
    routes : mapping of str to str
        Route by model pattern, first match first, such as ``{"htdemucs*": "gpu"}``; ``"htdemucs*=gpu,*=cpu"`` in the
        environment. Models that match nothing go to ``"default"``.
    device : str
        Where a worker runs networks: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    stem_format, stem_encoding : str
        How stems are stored.
    lease_seconds : float
        A worker that is silent for so long has lost its job.
    max_attempts : int
        Workers that one job may lose before it fails.
    timeout_seconds : float
        Wall time of one attempt; recordings that are longer than it get as many seconds as they last.
    engine_memory_bytes : int
        Memory that engines kept loaded may take together; at least one is always kept.
    orphan_age_seconds : float
        Age from which `Studio.sweep` deletes objects that belong to nothing.
    auto_upgrade : bool
        Whether opening a studio brings the database's schema up to date.
    """

    database: str = attrs.field(factory=_default_database)
    storage: str = attrs.field(factory=_default_storage, converter=str)
    storage_options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    queue: str = "background"
    model: str = attrs.field(default="htdemucs", validator=_is_name)
    limits: str = "unlimited"
    routes: Mapping[str, str] = attrs.field(factory=dict)
    device: str = "auto"
    stem_format: str = "flac"
    stem_encoding: str | None = None
    lease_seconds: float = attrs.field(default=30.0, validator=_positive)
    max_attempts: int = attrs.field(default=3, validator=_positive)
    timeout_seconds: float = attrs.field(default=300.0, validator=_positive)
    engine_memory_bytes: int = attrs.field(default=4 << 30, validator=_positive)
    orphan_age_seconds: float = attrs.field(default=24 * 3600.0, validator=_positive)
    auto_upgrade: bool = True

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: Any) -> StudioSettings:
        """Return settings from ``ISOMIX_*`` variables; arguments that are not None win over them.

        An argument that is text is read as the variable would be.

        Raises
        ------
        InvalidOptions
            If there is no such setting, or a value cannot be read.

        Examples
        --------
        >>> settings = StudioSettings.from_environment({"ISOMIX_QUEUE": "inline", "ISOMIX_LEASE_SECONDS": "5"})
        >>> settings.queue, settings.lease_seconds
        ('inline', 5.0)
        >>> StudioSettings.from_environment({}, routes="htdemucs*=gpu,*=cpu").get_route("htdemucs_ft")
        'gpu'
        """
        variables = os.environ if environment is None else environment
        names = [field.name for field in attrs.fields(cls)]
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise InvalidOptions(
                f"there is no setting {unknown[0]!r}; there are {', '.join(names)}", option=unknown[0], value=None
            )
        values: dict[str, Any] = {}
        for name in names:
            value, text = given.get(name), variables.get(PREFIX + name.upper())
            if value is not None:
                values[name] = _read(name, value, name) if isinstance(value, str) else value
            elif text:
                values[name] = _read(name, text, PREFIX + name.upper())
        return cls(**values)

    def to_environment(self) -> dict[str, str]:
        """Return the variables that give these settings to another process."""
        values = attrs.asdict(self)
        return {PREFIX + name.upper(): _write(name, value) for name, value in values.items() if value is not None}

    def get_route(self, model: str) -> str:
        """Return the route of a model.

        Examples
        --------
        >>> StudioSettings(routes={"htdemucs*": "gpu"}).get_route("htdemucs_ft")
        'gpu'
        """
        return next((route for pattern, route in self.routes.items() if fnmatchcase(model, pattern)), DEFAULT_ROUTE)

    def list_routes(self) -> tuple[str, ...]:
        """Return all routes there are."""
        return tuple(dict.fromkeys([*self.routes.values(), DEFAULT_ROUTE]))


def _read_bool(text: str) -> bool:
    if text.strip().lower() not in (*_TRUE, *_FALSE):
        raise ValueError("it is neither on nor off")
    return text.strip().lower() in _TRUE


def _read_routes(text: str) -> dict[str, str]:
    return dict(part.strip().split("=", 1) for part in text.split(",") if part.strip())


_READERS: Mapping[str, Callable[[str], Any]] = {
    "auto_upgrade": _read_bool,
    "engine_memory_bytes": int,
    "lease_seconds": float,
    "max_attempts": int,
    "orphan_age_seconds": float,
    "routes": _read_routes,
    "storage_options": json.loads,
    "timeout_seconds": float,
}


def _read(name: str, text: str, called: str) -> Any:
    try:
        return _READERS.get(name, str)(text)
    except ValueError as error:
        raise InvalidOptions(f"{called} cannot be read: {error}", option=name, value=text) from error


def _write(name: str, value: Any) -> str:
    if name == "routes":
        return ",".join(f"{pattern}={route}" for pattern, route in value.items())
    return json.dumps(value) if isinstance(value, Mapping) else str(value)
