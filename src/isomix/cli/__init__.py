"""The ``isomix`` command: a thin door to the library. Only this folder prints."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence

from isomix._version import __version__
from isomix.cli.evaluate import add_evaluate
from isomix.cli.models import add_models
from isomix.cli.options import EXIT_FAILED, EXIT_INTERRUPTED, tell
from isomix.cli.separate import add_separate
from isomix.cli.studio import add_database, add_doctor, add_sweep, add_worker
from isomix.errors import IsomixError

_STOPS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of the process's own.

    Returns
    -------
    int
        Exit code: 0; 1 if the work failed; 2 if the caller has to change something; 130 after Ctrl-C.
    """
    choices = _parser().parse_args(arguments)
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")  # no name of a file is worth losing the rest of a batch
    # A supervisor's polite stop and a closed terminal are treated like Ctrl-C: they leave no half-written files either.
    # What is ignored stays so: nohup wants its program to outlive the terminal.
    heeded = [name for name in _STOPS if signal.getsignal(name) is not signal.SIG_IGN]
    before = {name: signal.signal(name, signal.default_int_handler) for name in heeded}
    try:
        return int(choices.run(choices))
    except IsomixError as error:
        return tell(error)
    except KeyboardInterrupt:
        print("isomix: stopped; nothing was left half-written", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left (`| head`). Python would say so once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="isomix", description="Separate music into stems.")
    parser.add_argument("--version", action="version", version=f"isomix {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_separate(commands.add_parser("separate", help="separate recordings into stems"))
    add_models(commands.add_parser("models", help="list models, fetch their weights"))
    add_evaluate(commands.add_parser("evaluate", help="compare stems with true ones, or look for plain faults"))
    add_worker(commands.add_parser("worker", help="run a studio's jobs that come over Redis"))
    add_database(commands.add_parser("db", help="look after a studio's database"))
    add_sweep(commands.add_parser("sweep", help="recover lost jobs, delete what is past its time"))
    add_doctor(commands.add_parser("doctor", help="tell what is installed, reachable, writable"))
    return parser
