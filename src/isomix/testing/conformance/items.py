"""The checks as items of a pytest run: one per engine and rule, named ``isomix-engine[NAME]::RULE``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from isomix.domain.options import EngineChoices
from isomix.errors import CallerError, EngineError, EngineUnavailable, PluginError, WeightsUnavailable
from isomix.testing.conformance.examination import CHECKS, Examination
from isomix.testing.conformance.rules import Broken, Check
from isomix.testing.conformance.subject import Subject

_READERS: Mapping[str, Callable[[str], Any]] = {
    "overlap": float,
    "shifts": int,
    "seed": int,
    "batch_size": int,
    "offline": lambda text: text.lower() in ("1", "true", "yes"),
    "trust_pickle": lambda text: text.lower() in ("1", "true", "yes"),
}
"""How options are read that are not text."""


class EngineNode(pytest.Collector):
    """An engine; opened for its first check, closed after its last."""

    examination: Examination | None = None

    def collect(self) -> Iterable[CheckItem]:
        """Return one item per rule."""
        return [CheckItem.from_parent(self, name=check.name, check=check) for check in CHECKS]

    def setup(self) -> None:
        """Find it."""
        choices = read_choices(self.config.getoption("isomix_engine_option"))
        sums_db = self.config.getoption("isomix_sums_db")
        try:
            subject = Subject.named(self.name, sums_db=sums_db, **choices)
        except (EngineUnavailable, WeightsUnavailable) as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"it cannot be had here: {error}")
        self.examination = Examination(subject)

    def teardown(self) -> None:
        """Let go of it."""
        if self.examination is not None:
            self.examination.subject.close()
            self.examination = None


class CheckItem(pytest.Item):
    """One rule, tried on one engine."""

    def __init__(self, *, check: Check, **shared: Any) -> None:
        super().__init__(**shared)
        self.check = check

    def runtest(self) -> None:
        """Try it."""
        node = self.parent
        if not isinstance(node, EngineNode) or node.examination is None:
            raise RuntimeError("a check runs below the engine that it tries")
        outcome = node.examination.get_outcome(self.check)
        if outcome.verdict == "skipped":
            pytest.skip(outcome.message)
        if outcome.verdict == "failed":
            raise Broken(outcome.to_text(node.name))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what was broken, without the kit's own traceback."""
        if isinstance(excinfo.value, Broken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Return how reports call it."""
        return f"isomix-engine[{self.parent.name if self.parent else ''}]", None, self.check.name


def read_choices(settings: Iterable[str]) -> EngineChoices:
    """Read ``KEY=VALUE`` settings as options of an engine.

    Parameters
    ----------
    settings : iterable of str
        As they were given on the command line.

    Raises
    ------
    pytest.UsageError
        If one cannot be read.

    Examples
    --------
    >>> read_choices(["device=cpu", "shifts=2"])
    {'device': 'cpu', 'shifts': 2}
    """
    choices = EngineChoices()
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in EngineChoices.__annotations__:
            known = ", ".join(EngineChoices.__annotations__)
            raise pytest.UsageError(f"--isomix-engine-option={setting}: give KEY=VALUE, where KEY is one of {known}")
        try:
            choices.update({key: _READERS.get(key, str)(value)})  # type: ignore[misc]
        except ValueError as error:
            raise pytest.UsageError(f"--isomix-engine-option={setting}: {error}") from error
    return choices


def collect_checks(session: pytest.Session, name: str) -> list[pytest.Item]:
    """Return the checks of an engine.

    Parameters
    ----------
    session : pytest.Session
        The run.
    name : str
        As an installed plugin offers it.

    Raises
    ------
    pytest.UsageError
        If no plugin offers it, or an option is not one.
    """
    choices = read_choices(session.config.getoption("isomix_engine_option"))
    try:
        with suppress(EngineError):  # whether it can be had here, its checks say
            Subject.named(name, **choices)
    except (CallerError, PluginError) as error:
        raise pytest.UsageError(str(error)) from error
    node = EngineNode.from_parent(session, name=name, nodeid=f"isomix-engine[{name}]")
    # As pytest itself collects, so that its reports count these items, too.
    report = node.ihook.pytest_make_collect_report(collector=node)
    node.ihook.pytest_collectreport(report=report)
    checks: list[pytest.Item] = report.result
    return checks
