"""How engines are found: hooks, called on every installed plugin, each on its own.

A plugin is a module or object with a function marked `hookimpl` that is named ``isomix_engines`` and returns
`EngineSpec` values, announced under the entry-point group ``isomix.engines``. isomix's own engines come the same way.
A second hook, ``isomix_find_engine``, is for plugins whose models cannot all be listed: a user's own folder of weights.
A plugin that fails is remembered and reported; it takes nobody else down.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import attrs
import pluggy

from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine
from isomix.errors import DuplicateEngine, EngineError, EngineUnavailable, IsomixError, PluginError, UnknownModel

GROUP = "isomix.engines"
hookspec = pluggy.HookspecMarker("isomix")
hookimpl = pluggy.HookimplMarker("isomix")
"""Marks a plugin's ``isomix_engines`` function."""


class Hooks:
    """What isomix asks of plugins."""

    @hookspec
    def isomix_engines(self) -> Iterable[EngineSpec]:
        """Return the models that the plugin offers. Import nothing heavy here: the factory does."""
        raise AssertionError("pluggy never calls a hookspec")

    @hookspec(firstresult=True)
    def isomix_find_engine(self, name: str, options: EngineOptions) -> EngineSpec | None:
        """Return the model of a name that is not in any list, such as one in ``options.repo``; None if it is not yours.

        Optional. It is asked for names that nobody lists, and for every name where ``options.repo`` is given.
        """
        raise AssertionError("pluggy never calls a hookspec")


Finder = Callable[[str, EngineOptions], EngineSpec | None]


@attrs.frozen
class Offer:
    """A spec and the distribution that it came from."""

    spec: EngineSpec
    distribution: str


@attrs.frozen
class BrokenPlugin:
    """A plugin that could not be used, and why."""

    name: str
    distribution: str
    error: Exception


@attrs.frozen
class Registry:
    """Every model that the installed plugins offer.

    Parameters
    ----------
    offers : mapping of str to tuple of Offer
        By model name; more than one offer is a conflict that `get_spec` refuses.
    broken : tuple of BrokenPlugin
        Plugins that were left out.
    finders : tuple of callable
        What finds models that nobody lists, from a name and options.
    """

    offers: Mapping[str, tuple[Offer, ...]]
    broken: tuple[BrokenPlugin, ...]
    finders: tuple[Finder, ...] = ()

    def list_specs(self) -> list[EngineSpec]:
        """Return the usable models, by name."""
        return [offers[0].spec for _, offers in sorted(self.offers.items()) if len(offers) == 1]

    def list_conflicts(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the names that several distributions offer, with those distributions."""
        return [
            (name, tuple(offer.distribution for offer in offers))
            for name, offers in sorted(self.offers.items())
            if len(offers) > 1
        ]

    def get_spec(self, name: str, options: EngineOptions | None = None) -> EngineSpec:
        """Return the model of a name.

        Parameters
        ----------
        name : str
            As listed, or as a plugin understands it together with the options.
        options : EngineOptions, optional
            ``repo`` is where to look first.

        Raises
        ------
        UnknownModel
            If no plugin offers it.
        DuplicateEngine
            If two distributions do.
        """
        offers = self.offers.get(name, ())
        if options is not None and (options.repo or not offers):
            for finder in self.finders:
                if found := finder(name, options):
                    return found
        if not offers:
            raise self._unknown(name)
        if len(offers) > 1:
            distributions = tuple(offer.distribution for offer in offers)
            raise DuplicateEngine(
                f"{name!r} is offered by " + " and by ".join(distributions),
                hint="uninstall one of them",
                model=name,
                distributions=distributions,
            )
        return offers[0].spec

    def _unknown(self, name: str) -> UnknownModel:
        known = tuple(spec.name for spec in self.list_specs())
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        message = f"there is no model {name!r}; "
        message += f"did you mean {' or '.join(near)}?" if near else "there are " + ", ".join(known)
        if self.broken:
            message += "; left out as broken: " + ", ".join(f"{b.name} ({b.error})" for b in self.broken)
        return UnknownModel(message, hint="`isomix models list` describes them", model=name, known=known)


def discover(points: Iterable[EntryPoint]) -> Registry:
    """Load plugins and collect what they offer.

    Parameters
    ----------
    points : iterable of EntryPoint
        Where the plugins are.

    Returns
    -------
    Registry
    """
    offers: dict[str, tuple[Offer, ...]] = {}
    broken, finders = [], []
    for point in points:
        distribution = point.dist.name if point.dist else point.value
        try:
            manager = _load(point)
            specs = _list_specs(manager, point.name)
        except Exception as error:
            broken.append(BrokenPlugin(point.name, distribution, error))
            continue
        for spec in specs:
            offers[spec.name] = (*offers.get(spec.name, ()), Offer(spec, distribution))
        finders.append(_make_finder(manager))
    return Registry(offers, tuple(broken), tuple(finders))


def _load(point: EntryPoint) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("isomix")
    manager.add_hookspecs(Hooks)
    manager.register(point.load(), point.name)
    manager.check_pending()
    return manager


def _make_finder(manager: pluggy.PluginManager) -> Finder:
    def find(name: str, options: EngineOptions) -> EngineSpec | None:
        found: EngineSpec | None = manager.hook.isomix_find_engine(name=name, options=options)
        return found

    return find


def _list_specs(manager: pluggy.PluginManager, plugin: str) -> list[EngineSpec]:
    answers = manager.hook.isomix_engines()
    if not answers:
        raise PluginError("it has no function isomix_engines() marked with isomix.hookimpl", plugin=plugin)
    specs = [spec for answer in answers for spec in answer]
    for spec in specs:
        if not isinstance(spec, EngineSpec):
            raise PluginError(f"isomix_engines() returned {spec!r}, not an EngineSpec", plugin=plugin)
    return specs


@cache
def installed() -> Registry:
    """Return the registry of this environment's plugins, found once."""
    return discover(entry_points(group=GROUP))


def list_models() -> list[EngineSpec]:
    """List the models that can be named in `separate`.

    Returns
    -------
    list of EngineSpec
        By name. Nothing heavy is imported and no weights are looked for.

    Examples
    --------
    >>> "hpss" in [model.name for model in list_models()]
    True
    """
    return installed().list_specs()


def open_engine(spec: EngineSpec, options: EngineOptions) -> SeparationEngine:
    """Load a model.

    Parameters
    ----------
    spec : EngineSpec
        Which one.
    options : EngineOptions
        How.

    Raises
    ------
    LicenceRefused
        If the licence policy of the options refuses it.
    EngineUnavailable
        If a package that it needs is not installed.
    EngineError
        If it cannot be opened for another reason; the cause is chained.
    """
    spec.check_licence(options)
    module, _, function = spec.factory.partition(":")
    try:
        engine = getattr(importlib.import_module(module), function)(spec, options)
    except IsomixError:
        raise
    except ImportError as error:
        remedy = f'pip install "isomix[{spec.extra}]"' if spec.extra else "reinstall the plugin's distribution"
        raise EngineUnavailable(f"{spec.name} cannot be loaded: {error}", hint=remedy, model=spec.name) from error
    except Exception as error:
        raise EngineError(f"{spec.name} cannot be opened: {type(error).__name__}: {error}", model=spec.name) from error
    if not isinstance(engine, SeparationEngine):
        raise PluginError(f"{spec.factory} returned {engine!r}, not a SeparationEngine", plugin=spec.name)
    return engine
