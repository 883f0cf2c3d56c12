"""What `import isomix` offers, and what it costs."""

import json
import subprocess
import sys

import isomix

HEAVY = ("torch", "demucs", "openvino", "soundfile", "scipy.signal", "sqlalchemy", "celery", "redis", "av")


def test_the_face_is_sorted_complete_and_small():
    """`__all__` is sorted, every name in it resolves, and there are at most 25."""
    assert isomix.__all__ == sorted(isomix.__all__, key=lambda name: (name.islower(), name != name.upper(), name))
    assert all(hasattr(isomix, name) for name in isomix.__all__)
    assert len(isomix.__all__) <= 25


def test_every_public_object_is_documented():
    """Each public class and function has a docstring of its own."""
    bare = [name for name in isomix.__all__ if callable(getattr(isomix, name)) and not getattr(isomix, name).__doc__]
    assert bare == []


def test_the_lazy_table_and_the_list_agree():
    """What can be looked up is what is listed, but for the version."""
    assert {*isomix._HOMES, "__version__"} == set(isomix.__all__)


def test_importing_and_listing_models_loads_nothing_heavy():
    """`import isomix` and `list_models()` leave decoders, networks and services out of the process."""
    program = f"""
import json, sys, isomix
assert isomix.list_models()
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == []


def test_listing_the_models_on_the_command_line_loads_nothing_heavy():
    """`isomix models list` stays as light as the library's listing."""
    program = f"""
import json, sys
from isomix.cli import main
main(["models", "list", "--json"])
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_importing_and_listing_models_is_quick():
    """Importing isomix and listing its models takes under 0.3 s of CPU beyond Python's own start."""

    def cpu_seconds(program: str) -> float:
        code = f"{program}\nimport time; print(time.process_time())"
        runs = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True) for _ in range(3)]
        return min(float(run.stdout) for run in runs)

    assert cpu_seconds("import isomix; isomix.list_models()") - cpu_seconds("pass") < 0.3


def test_the_process_is_left_as_it_was():
    """Importing isomix adds no logging handler and no warning filter to those of numpy and scipy."""
    program = """
import logging, warnings, numpy, scipy.special
before = (list(logging.root.handlers), list(warnings.filters))
import isomix, isomix.separation
assert (list(logging.root.handlers), list(warnings.filters)) == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)
