"""The ``isomix`` command: a thin door to the library. Only this file prints."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain, count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from isomix._version import __version__
from isomix.domain.options import PRECISIONS, RUNTIMES, EngineOptions
from isomix.errors import IsomixError
from isomix.plugins import installed, list_models, open_engine
from isomix.settings import get_weights_dir, offline_requested

if TYPE_CHECKING:
    from isomix.progress import Bar
    from isomix.result import Separation

EXIT_FAILED, EXIT_CALLER, EXIT_INTERRUPTED = 1, 2, 130


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
    # A supervisor's polite stop is treated like Ctrl-C, so that it leaves no half-written files either.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(choices.run(choices))
    except IsomixError as error:
        return _tell(error)
    except KeyboardInterrupt:
        print("isomix: stopped; nothing was left half-written", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left (`| head`). Python would say so once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="isomix", description="Separate music into stems.")
    parser.add_argument("--version", action="version", version=f"isomix {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_separate(commands.add_parser("separate", help="separate recordings into stems"))
    _add_models(commands.add_parser("models", help="list models, fetch their weights"))
    return parser


def _add_separate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_separate)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="audio file or fsspec URL")
    parser.add_argument("-m", "--model", help="see `isomix models list` (default: htdemucs)")
    parser.add_argument(
        "-o",
        "--output",
        default="separated",
        metavar="DIR",
        help="writes DIR/<input>/<stem>.<format>, over what is there; two inputs of one name keep their endings",
    )
    parser.add_argument("--stems", help="only these, by commas; also accompaniment and residual")
    parser.add_argument("--format", default="wav", help="wav (default), flac, mp3 or ogg")
    parser.add_argument("--encoding", help="int16 (default), int24 or float32")
    parser.add_argument("--stream", type=int, default=0, help="audio stream of a file that has several")
    parser.add_argument("--overlap", type=float, help="fraction of a segment shared with the next")
    parser.add_argument("--shifts", type=int, default=0, help="average that many shifted passes")
    parser.add_argument("--json", action="store_true", help="print one JSON object per recording, each on a line")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no report")
    _add_engine_options(parser)


def _add_engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS, help="arithmetic of the network")
    parser.add_argument("--runtime", default="auto", choices=RUNTIMES, help="what runs it: openvino is fast on a CPU")
    parser.add_argument("--repo", metavar="DIR", help="a file or folder with weights of your own")
    parser.add_argument("--weights-dir", metavar="DIR", help="where downloaded weights live")
    parser.add_argument("--offline", action="store_true", help="never touch the network")
    parser.add_argument("--trust-pickle", action="store_true", help="load weight files that could run code")


def _add_models(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="what can be named as a model")
    listing.add_argument("--json", action="store_true", help="print one JSON array")
    listing.set_defaults(run=_list)
    pull = commands.add_parser("pull", help="fetch and verify weights")
    pull.add_argument("models", nargs="+", metavar="MODEL", help="see `isomix models list`")
    pull.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    _add_engine_options(pull)
    pull.set_defaults(run=_pull)
    bring = commands.add_parser("import", help="take weights from a file or folder")
    bring.add_argument("model", metavar="MODEL", help="see `isomix models list`")
    bring.add_argument("repo", metavar="PATH", help="a folder, file or archive that has them")
    bring.add_argument("--weights-dir", metavar="DIR", help="where they are to live")
    bring.set_defaults(run=_import)
    commands.add_parser("path", help="where weights live").set_defaults(run=_path)


def _engine_options(choices: argparse.Namespace) -> dict[str, Any]:
    return {
        "device": choices.device,
        "precision": choices.precision,
        "runtime": choices.runtime,
        "repo": choices.repo,
        "weights_dir": choices.weights_dir,
        "offline": choices.offline,
        "trust_pickle": choices.trust_pickle,
    }


def _separate(choices: argparse.Namespace) -> int:
    from isomix.separation import DEFAULT_MODEL, Separator  # decoders load only for this command

    options = {**_engine_options(choices), "overlap": choices.overlap, "shifts": choices.shifts}
    stems = None if choices.stems is None else [name.strip() for name in choices.stems.split(",") if name.strip()]
    code = 0
    with _bar(choices) as bar:
        separator = Separator(choices.model or DEFAULT_MODEL, stems=stems, progress=bar, **options)
    with separator:
        for source, output in _outputs(choices.inputs, choices.output).items():
            try:
                with _bar(choices) as bar:
                    separation = separator.separate(
                        source,
                        output=output,
                        format=choices.format,
                        encoding=choices.encoding,
                        stream=choices.stream,
                        progress=bar,
                    )
            except IsomixError as error:
                code = max(code, _tell(error))
                continue
            _report(choices, source, separation)
    return code


@contextmanager
def _bar(choices: argparse.Namespace) -> Iterator[Bar | None]:
    """Give a progress bar where somebody can see it."""
    if choices.quiet or not sys.stderr.isatty():
        yield None
        return
    from isomix.progress import Bar

    with closing(Bar()) as bar:
        yield bar


def _outputs(inputs: Sequence[str], folder: str) -> dict[str, str]:
    """Return the folder of each input: its name without the ending; with it, or numbered, where two would share one."""
    paths = {source: PurePosixPath(source.replace("\\", "/")) for source in inputs}
    shared = Counter(path.stem for path in paths.values())
    outputs: dict[str, str] = {}
    for source, path in paths.items():
        output = f"{folder}/{path.stem if shared[path.stem] == 1 else path.name}"
        numbered = (f"{output}-{number}" for number in count(2))
        outputs[source] = next(free for free in chain([output], numbered) if free not in outputs.values())
    return outputs


def _report(choices: argparse.Namespace, source: str, separation: Separation) -> None:
    if choices.json:
        print(json.dumps({"input": source, **separation.to_dict()}))
    elif not choices.quiet:
        print(separation.to_text())
    for note in separation.notes:
        print(f"isomix: warning: {source}: {note}", file=sys.stderr)


def _list(choices: argparse.Namespace) -> int:
    models = list_models()
    if choices.json:
        print(json.dumps([_facts(model) for model in models], indent=2))
        return 0
    width = max(len(model.name) for model in models)
    for model in models:
        needs = f"needs isomix[{model.extra}]" if model.extra else ""
        about = "; ".join(filter(None, (model.summary, needs)))
        licence = f"licence: {model.licence}; commercial use: {model.commercial_use}"
        print(f"{model.name:<{width}}  {', '.join(model.stems)}")
        print("".join(f"{'':<{width}}    {line}\n" for line in (about, licence) if line), end="")
    print("\nWithout -m, isomix separate takes htdemucs.")
    for name, distributions in installed().list_conflicts():
        print(f"isomix: {name} is offered by {' and by '.join(distributions)}: left out", file=sys.stderr)
    for plugin in installed().broken:
        print(f"isomix: plugin {plugin.name} of {plugin.distribution} is broken: {plugin.error}", file=sys.stderr)
    return 0


def _facts(model: Any) -> dict[str, Any]:
    fields = ("name", "stems", "sample_rate", "channels", "summary", "licence", "commercial_use", "extra")
    return {name: getattr(model, name) for name in fields}


def _pull(choices: argparse.Namespace) -> int:
    """Open each model once: what opens has its weights, whole and verified."""
    asked = _engine_options(choices)
    asked["offline"] = asked["offline"] or offline_requested()
    for name in choices.models:
        with _bar(choices) as bar:
            options = EngineOptions(on_progress=bar, **asked)
            open_engine(installed().get_spec(name, options), options).close()
        print(f"{name}: ready")
    return 0


def _import(choices: argparse.Namespace) -> int:
    options = EngineOptions(repo=choices.repo, keep=True, weights_dir=choices.weights_dir, offline=True)
    open_engine(installed().get_spec(choices.model, options), options).close()
    print(f"{choices.model}: ready")
    return 0


def _path(_: argparse.Namespace) -> int:
    print(get_weights_dir())
    return 0


def _tell(error: IsomixError) -> int:
    hint = f" - {error.hint}" if error.hint else ""
    print(f"isomix: {error.message}{hint} [{error.code}]", file=sys.stderr)
    return EXIT_CALLER if error.status_hint < 500 else EXIT_FAILED
