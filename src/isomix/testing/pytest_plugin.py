"""``pytest --isomix-engine=NAME``: the engine contract, beside whatever else a run collects or in an empty folder.

Loaded in every run of pytest where isomix is installed, so it does nothing and imports nothing until it is asked.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("isomix", "isomix: does an engine keep the contract?")
    group.addoption(
        "--isomix-engine",
        action="append",
        default=[],
        metavar="NAME",
        help="try the engine contract on this model; may be given several times",
    )
    group.addoption(
        "--isomix-engine-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="open it with this option of isomix.EngineOptions, such as device=cpu; may be given several times",
    )
    group.addoption(
        "--isomix-sums-db",
        type=float,
        metavar="DB",
        help="claim that its stems sum to the mixture: the null error is at most so many dB, such as -100",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the checks to what was collected, before -k and -m choose among them."""
    names: list[str] = config.getoption("isomix_engine")
    if names:
        from isomix.testing.conformance.items import collect_checks

        for name in names:
            items += collect_checks(session, name)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name the engines that are tried."""
    names: list[str] = config.getoption("isomix_engine")
    return [f"isomix engines: {', '.join(names)}"] if names else []
