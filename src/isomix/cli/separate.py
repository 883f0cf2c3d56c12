"""``isomix separate``, and its ``--plan``."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import chain, count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from isomix.cli.options import add_engine_options, get_engine_options, open_bar, tell
from isomix.errors import InvalidOptions, IsomixError

if TYPE_CHECKING:
    from isomix.result import Separation


def add_separate(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.set_defaults(run=_separate)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="audio file or fsspec URL")
    parser.add_argument("-m", "--model", help="see `isomix models list` (default: htdemucs)")
    parser.add_argument(
        "-o",
        "--output",
        default="separated",
        metavar="DIR",
        help="default: separated; writes DIR/INPUT/STEM.FORMAT over what is there; equal names keep their endings",
    )
    parser.add_argument("--stems", help="only these, by commas; also accompaniment and residual")
    parser.add_argument("--format", default="wav", help="wav (default), flac, mp3 or ogg")
    parser.add_argument("--encoding", help="int16 (default), int24 or float32")
    parser.add_argument("--stream", type=int, default=0, help="audio stream of a file that has several")
    parser.add_argument("--overlap", type=float, help="fraction of a segment shared with the next")
    parser.add_argument("--shifts", type=int, default=0, help="average that many shifted passes")
    parser.add_argument("--plan", action="store_true", help="say what would be done and what it would take; do nothing")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="with --plan: measure the model on this machine first, unless that was done before",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per recording, each on a line")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no report")
    add_engine_options(parser)


def _separate(choices: argparse.Namespace) -> int:
    options = {**get_engine_options(choices), "overlap": choices.overlap, "shifts": choices.shifts}
    options["stems"] = None if choices.stems is None else [n.strip() for n in choices.stems.split(",") if n.strip()]
    if choices.plan:
        return _plan(choices, options)
    if choices.calibrate:
        raise InvalidOptions(
            "--calibrate measures for --plan", hint="give both", option="calibrate", value=choices.calibrate
        )
    return _run(choices, options)


def _run(choices: argparse.Namespace, options: dict[str, Any]) -> int:
    from isomix.separation import DEFAULT_MODEL, Separator  # decoders load only for this command

    code = 0
    with open_bar(choices) as bar:
        separator = Separator(choices.model or DEFAULT_MODEL, progress=bar, **options)
    with separator:
        for source, output in _outputs(choices.inputs, choices.output).items():
            try:
                with open_bar(choices) as bar:
                    separation = separator.separate(source, progress=bar, **_get_writing(choices, output))
            except IsomixError as error:
                code = max(code, _report_error(choices, source, error))
                continue
            _report(choices, source, separation)
    return code


def _plan(choices: argparse.Namespace, options: dict[str, Any]) -> int:
    from isomix.planning.planner import plan
    from isomix.separation import DEFAULT_MODEL

    code = 0
    for source, output in _outputs(choices.inputs, choices.output).items():
        try:
            facts = plan(
                source,
                choices.model or DEFAULT_MODEL,
                calibrate=choices.calibrate,
                **_get_writing(choices, output),
                **options,
            )
        except IsomixError as error:
            code = max(code, _report_error(choices, source, error))
            continue
        print(json.dumps({"input": source, **facts.to_dict()}) if choices.json else facts.to_text())
    return code


def _get_writing(choices: argparse.Namespace, output: str) -> dict[str, Any]:
    return {"output": output, "format": choices.format, "encoding": choices.encoding, "stream": choices.stream}


def _outputs(inputs: Sequence[str], folder: str) -> dict[str, str]:
    """Return the folder of each input: its name without the ending; with it, or numbered, where two would share one."""
    paths = {source: PurePosixPath(source.replace("\\", "/")) for source in inputs}
    shared = Counter(path.stem for path in paths.values())
    outputs: dict[str, str] = {}
    for source, path in paths.items():
        output = f"{folder.rstrip('/')}/{path.stem if shared[path.stem] == 1 else path.name}"
        numbered = (f"{output}-{number}" for number in count(2))
        outputs[source] = next(free for free in chain([output], numbered) if free not in outputs.values())
    return outputs


def _report_error(choices: argparse.Namespace, source: str, error: IsomixError) -> int:
    if choices.json:
        print(
            json.dumps({"input": source, "error": {"code": error.code, "message": error.message, "hint": error.hint}})
        )
    return tell(error)


def _report(choices: argparse.Namespace, source: str, separation: Separation) -> None:
    if choices.json:
        print(json.dumps({"input": source, **separation.to_dict()}))
    elif not choices.quiet:
        print(separation.to_text())
    for note in separation.notes:
        print(f"isomix: warning: {source}: {note}", file=sys.stderr)
