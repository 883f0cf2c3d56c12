"""All checks over one engine, each run once, in an order in which they can be believed."""

from __future__ import annotations

from isomix.testing.conformance.lifetime import LIFETIME
from isomix.testing.conformance.memory import MEMORY
from isomix.testing.conformance.promises import PROMISES
from isomix.testing.conformance.recordings import RECORDINGS
from isomix.testing.conformance.rules import Broken, Check, Outcome, Unmeasurable, describe
from isomix.testing.conformance.streams import STREAMS
from isomix.testing.conformance.subject import Subject

CHECKS: tuple[Check, ...] = (*PROMISES, *LIFETIME, *STREAMS, *RECORDINGS, *MEMORY)
"""Every rule of the engine contract."""

_BY_NAME = {check.name: check for check in CHECKS}


class Examination:
    """Runs checks and remembers what came of them.

    A check whose ground is missing is skipped: of an engine that gives something else each time, nobody can tell
    whether a batch gives the same.

    Parameters
    ----------
    subject : Subject
        The engine.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._outcomes: dict[str, Outcome] = {}

    def get_outcome(self, check: Check) -> Outcome:
        """Run a check, and those that it needs, unless they were run.

        Parameters
        ----------
        check : Check
            One of `CHECKS`.
        """
        if check.name not in self._outcomes:
            self._outcomes[check.name] = self._run(check)
        return self._outcomes[check.name]

    def _run(self, check: Check) -> Outcome:
        for name in check.needs:
            ground = self.get_outcome(_BY_NAME[name])
            if ground.verdict == "failed":
                return Outcome(check, "skipped", f"it says nothing while {name!r} fails")
            if ground.verdict == "skipped":
                return Outcome(check, "skipped", ground.message)
        try:
            check.run(self.subject)
        except Broken as error:
            return Outcome(check, "failed", str(error) if error.__cause__ is None else _with_cause(error))
        except Unmeasurable as error:
            return Outcome(check, "skipped", str(error))
        except Exception as error:
            return Outcome(check, "failed", describe(error))
        return Outcome(check, "passed")


def _with_cause(error: Broken) -> str:
    cause = error.__cause__
    if isinstance(cause, Exception) and not isinstance(cause, Broken) and cause.__cause__ is not None:
        return f"{error}\n    {describe(cause)}"
    return str(error)
