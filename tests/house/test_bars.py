"""The house stays readable: bounds on files and functions."""

import ast
from pathlib import Path
from statistics import median, quantiles

SOURCES = sorted((Path(__file__).resolve().parents[2] / "src").rglob("*.py"))


def function_lengths():
    """Lines of every function, its docstring apart, with its place."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node, clean=False)
                lines = node.end_lineno - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
                yield lines, f"{path.name}:{node.name}"


def test_files_are_short():
    """No file is over 400 lines, and half of them are at most 120."""
    lengths = [len(path.read_text().splitlines()) for path in SOURCES]
    assert max(lengths) <= 400
    assert median(lengths) <= 120


def test_functions_are_short():
    """No function is over 50 lines without its docstring, nine in ten are at most 24."""
    lengths = sorted(function_lengths())
    assert lengths[-1][0] <= 50, lengths[-1]
    assert quantiles([length for length, _ in lengths], n=10)[-1] <= 24


def test_no_drawer_without_a_name():
    """There is no module called utils, common, helpers or misc."""
    assert not {path.stem for path in SOURCES} & {"utils", "common", "helpers", "misc", "util"}
