"""The pages about the studio say what the code says: states, settings, errors, commands."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from isomix import errors
from isomix.cli import _parser
from isomix.domain.job import TRANSITIONS, JobState
from isomix.domain.project import STATUS_OF
from isomix.ports import JobQueue
from isomix.settings import StudioSettings
from isomix.testing.queues import JobQueueContract, RecordingRun

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCED = re.compile(r"^```(?:sh|bash|ini)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|=)(?:\S*/)?(isomix [a-z].*)$", re.MULTILINE)
VARIABLE = re.compile(r"\bISOMIX_[A-Z0-9]+(?:_[A-Z0-9]+)*\b")


def read(name: str) -> str:
    """Return a page."""
    return (DOCS / name).read_text()


def list_rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the rows of the table whose first head is this."""
    table = re.search(rf"^\| {head} \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE)
    assert table is not None, head
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def draw_states() -> str:
    """Return the diagram of the table of transitions."""
    order = list(JobState)
    lines = [f"[*] --> {order[0]}"]
    lines += [f"{state} --> {following}" for state in order for following in order if following in TRANSITIONS[state]]
    lines += [f"{state} --> [*]" for state in order if not TRANSITIONS[state]]
    return "\n".join(["```mermaid", "stateDiagram-v2", *(f"    {line}" for line in lines), "```"])


def test_the_diagram_is_that_of_the_table() -> None:
    """docs/states.md has the diagram that TRANSITIONS draws."""
    assert draw_states() in read("states.md")


def test_every_transition_is_explained_and_no_other() -> None:
    """The table of who moves a job has a row for each transition."""
    told = [(row[0], row[1]) for row in list_rows(read("states.md"), "from")]
    there_are = [(f"`{state}`", f"`{after}`") for state, following in TRANSITIONS.items() for after in following]
    assert sorted(told) == sorted(there_are)


def test_every_state_has_its_status() -> None:
    """The table of meanings pairs job states with project statuses as STATUS_OF does."""
    told = dict(row[:2] for row in list_rows(read("states.md"), "job"))
    assert told == {f"`{state}`": f"`{status}`" for state, status in STATUS_OF.items()}


def test_every_error_can_end_a_job_or_cannot() -> None:
    """docs/states.md has each code once: in the table of reasons, or among those that never end a job."""
    page = read("states.md")
    known = {thing.code for thing in vars(errors).values() if isinstance(thing, type)} | {"internal_error"}
    reasons = [code for row in list_rows(page, "code") for code in re.findall(r"`(\w+)`", row[0])]
    never = re.findall(r"`(\w+)`", page.partition("Never the end of a job:")[2])
    assert sorted(reasons + never) == sorted(known)


def show(value: Any) -> str:
    """Return a default as the table of settings has it."""
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    if value is None or value == {}:
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_every_setting_has_its_row_and_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/settings.md has the fields of StudioSettings, in order, with variable and default."""
    monkeypatch.setenv("ISOMIX_DATA_DIR", "DATA")
    values = attrs.asdict(StudioSettings(), recurse=False)
    told = [row[:3] for row in list_rows(read("settings.md"), "variable")]
    assert told == [[f"`ISOMIX_{name.upper()}`", f"`{name}`", show(value)] for name, value in values.items()]


def test_every_variable_is_in_the_settings() -> None:
    """docs/settings.md knows what the sources and the examples read from the environment, and nothing else."""
    sources = [path for folder in ("src", "examples") for path in (ROOT / folder).rglob("*.py")]
    known = {name for path in sources for name in VARIABLE.findall(path.read_text())}
    known |= {f"ISOMIX_{field.name.upper()}" for field in attrs.fields(StudioSettings)} | {"ISOMIX_DATA_DIR"}
    told = set(VARIABLE.findall(read("settings.md")))
    assert {name for name in told if not name.startswith("ISOMIX_TEST_")} == known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_on_a_page_exists(page: Path) -> None:
    """No page names a variable that docs/settings.md does not explain."""
    assert set(VARIABLE.findall(page.read_text())) <= set(VARIABLE.findall(read("settings.md")))


def list_commands() -> Iterator[Any]:
    """Give every line of the pages' shell and unit blocks that calls ``isomix``."""
    for page in PAGES:
        for block in FENCED.findall(page.read_text()):
            for found in COMMAND.finditer(block):
                yield pytest.param(found[1], id=f"{page.name}: {found[1]}")


@pytest.mark.parametrize("line", list(list_commands()))
def test_every_command_exists(line: str) -> None:
    """The real parser takes each `isomix` line of the pages, with its options."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            _parser().parse_args(shlex.split(line, comments=True)[1:])
    except SystemExit:
        pytest.fail(f"{line}\n{told.getvalue()}")


def test_commands_are_found() -> None:
    """The search sees lines in shell blocks and in units of systemd, so that the test above tests something."""
    lines = {param.values[0].split("#")[0].strip() for param in list_commands()}
    assert {"isomix doctor", "isomix sweep", "isomix worker --routes %i --processes 1"} <= lines


class TestSpoolQueue(JobQueueContract):
    """The queue of docs/write-a-store-or-queue.md is one, as the page says."""

    @pytest.fixture
    def make_queue(self) -> Any:
        block = re.search(r"^```python\n(.*?)^```", read("write-a-store-or-queue.md"), re.MULTILINE | re.DOTALL)
        assert block is not None
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile(block[1], "write-a-store-or-queue.md", "exec"), names)
        return names["SpoolQueue"]

    @pytest.fixture
    def ran(self) -> list[str]:
        return []

    @pytest.fixture
    def queue(self, make_queue: Any, tmp_path: Path, ran: list[str]) -> Iterator[JobQueue]:
        run = RecordingRun(ran.append)
        run.queue = make_queue(tmp_path, run)
        yield run.queue
        run.queue.close()
