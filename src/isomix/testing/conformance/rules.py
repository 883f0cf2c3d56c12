"""What a rule of the engine contract is, and what came of it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NoReturn

import attrs

from isomix.errors import EngineError, IsomixError

if TYPE_CHECKING:
    from isomix.testing.conformance.subject import Subject

PAGE = "docs/write-an-engine.md"
"""Where every rule has a heading of its own."""

Verdict = Literal["passed", "failed", "skipped"]


class Broken(AssertionError):
    """The engine breaks the rule; the message has the figures."""


class Unmeasurable(Exception):
    """Nothing can be said of the rule here; the message says why."""


@attrs.frozen
class Check:
    """One rule, and how it is tried.

    Parameters
    ----------
    name : str
        As in ``pytest -k``, and the heading of the rule in the docs.
    rule : str
        What an engine must do, in a sentence.
    run : callable
        Tries it; raises `Broken` or `Unmeasurable`.
    needs : tuple of str
        Checks that must have passed before this one says anything.
    """

    name: str
    rule: str
    run: Callable[[Subject], None] = attrs.field(eq=False, repr=False)
    needs: tuple[str, ...] = ("segment",)

    @property
    def where(self) -> str:
        """Where the rule is written."""
        return f"{PAGE}#{self.name}"


@attrs.frozen
class Outcome:
    """What came of a check.

    Parameters
    ----------
    check : Check
        Which one.
    verdict : {"passed", "failed", "skipped"}
        What it says.
    message : str
        What was broken, with figures; or why it was skipped.
    """

    check: Check
    verdict: Verdict
    message: str = ""

    def to_text(self, engine: str) -> str:
        """Return what was broken, the rule, and where it is written.

        Parameters
        ----------
        engine : str
            Name of the engine.
        """
        if self.verdict != "failed":
            return f"{engine}, {self.check.name}: {self.verdict} {self.message}".rstrip()
        return (
            f"{engine} breaks the engine contract: {self.check.name}\n\n"
            f"  found    {self.message}\n"
            f"  rule     {self.check.rule}\n"
            f"  written  {self.check.where}"
        )


def raise_unless_local(error: EngineError) -> NoReturn:
    """Say that an engine cannot be tried here; in continuous integration, where all can be had, that is a failure.

    Parameters
    ----------
    error : EngineError
        Why it cannot be opened.

    Raises
    ------
    Unmeasurable
        If this is not continuous integration (``CI=true``); the error itself if it is.
    """
    if os.environ.get("CI") == "true":
        raise error
    raise Unmeasurable(f"it cannot be had here: {error}") from error


def describe(error: Exception) -> str:
    """Return what an engine raised, with the traceback of the cause.

    Parameters
    ----------
    error : Exception
        Raised while a check ran.
    """
    if isinstance(error, IsomixError) and error.__cause__ is None:
        return f"it raised {type(error).__name__}: {error}"
    lines = "".join(traceback.format_exception(error.__cause__ or error)).rstrip().replace("\n", "\n    | ")
    return f"it raised {type(error).__name__}: {error}\n    | {lines}"
