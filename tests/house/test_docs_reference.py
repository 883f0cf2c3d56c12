"""The reference is complete: every public name, every command and option, every page in the site's table."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import isomix
from isomix.cli import _parser

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PUBLIC_MODULES = ("isomix.models", "isomix.evaluation", "isomix.ports", "isomix.testing.conformance")


def list_directives() -> dict[str, str]:
    """Return what the reference renders, with the options that follow each name."""
    pages = "\n".join(page.read_text() for page in sorted((DOCS / "reference").glob("*.md")))
    return dict(re.findall(r"^::: (\S+)\n((?:    .*\n)*)", pages, re.MULTILINE))


def list_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of all commands that do something."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for command in group.choices.values():
            yield from list_commands(command)


def draw_action(action: argparse.Action) -> str:
    """Return the row of an option or argument."""
    value = action.metavar or ("" if action.nargs == 0 else (action.dest or "").upper())
    name = ", ".join(action.option_strings) or str(value)
    shown = f"`{name} {value}`" if action.option_strings and value else f"`{name}`"
    choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
    return f"| {shown} | {(action.help or '').replace('|', chr(92) + '|')}{choices} |"


def draw_command(parser: argparse.ArgumentParser) -> str:
    """Return the section of a command."""
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    table = ["| argument | what it does |", "|---|---|", *map(draw_action, actions)] if actions else ["No arguments."]
    return "\n".join([f"## `{parser.prog}`", "", *table, ""])


@pytest.mark.parametrize("name", isomix.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    """Each name of `isomix.__all__` is rendered by a page of the reference."""
    assert f"isomix.{name}" in list_directives()


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_public_modules_are_in_the_reference_whole(module: str) -> None:
    """A module that is rendered with chosen members leaves none of its `__all__` out."""
    options = list_directives()[module]
    chosen = re.search(r"members: \[(.*)\]", options)
    if chosen:
        assert sorted(chosen[1].split(", ")) == sorted(importlib.import_module(module).__all__)


@pytest.mark.parametrize("name", sorted(list_directives()))
def test_what_the_reference_renders_exists(name: str) -> None:
    """Each name in the reference can be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        module, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(module), member)


@pytest.mark.parametrize("command", list(list_commands(_parser())), ids=lambda command: command.prog)
def test_every_command_and_option_is_in_the_reference(command: argparse.ArgumentParser) -> None:
    """docs/reference/command-line.md has each command's section, as drawn from the command itself."""
    assert draw_command(command) in (DOCS / "reference" / "command-line.md").read_text()


def test_every_page_is_in_the_table_of_the_site() -> None:
    """mkdocs.yml lists each page of docs/ once."""
    listed = re.findall(r"^ +- (?:[^:#]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
