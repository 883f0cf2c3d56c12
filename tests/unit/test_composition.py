"""What a studio is made of, and what is refused before it takes a job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isomix import Ensemble, Studio
from isomix.composition import compose, find_limits
from isomix.errors import InvalidOptions
from isomix.settings import StudioSettings

FORK = """
import os, sys
from isomix import Studio
from isomix.errors import StudioForked

studio = Studio.open(*sys.argv[1:], "background", model="testing:tiny")
while not studio.workers():
    pass
child = os.fork()
if not child:
    try:
        studio.upload(b"nothing of this is read")
    except StudioForked as error:
        studio.close()
        os._exit(error.facts["opened_by"] != os.getppid())
    os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert studio.workers() and studio.projects() == []
studio.close()
"""


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"queue": "carrier pigeon"}, "queue"),
        ({"queue": "redis://127.0.0.1:1/0"}, "database"),
        ({"queue": "redis://127.0.0.1:1/0", "database": "postgresql://nobody@127.0.0.1:1/x"}, "storage"),
        ({"stem_format": "aac"}, "format"),
        ({"stem_format": "flac", "stem_encoding": "float32"}, "encoding"),
        ({"database": "oracle://db"}, "database"),
        ({"storage": "punchcards://box"}, "storage"),
        ({"limits": "platinum"}, "limits"),
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"model": Path("htdemucs")}, "model"),
        ({"model": Ensemble({"hpss": 1.0})}, "model"),
        ({"routes": "gpu"}, "routes"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_at_the_start(settings: dict[str, object], named: str) -> None:
    """The option is named, before any upload is taken."""
    places = {"database": "memory://", "storage": "memory://refused", "queue": "inline"}
    with pytest.raises(InvalidOptions) as caught:
        Studio.open(**{**places, **settings})  # type: ignore[arg-type]
    assert caught.value.facts["option"] == named


def test_an_operators_tool_runs_no_jobs(tmp_path: Path) -> None:
    """It sees a waiting job and leaves it to the application."""
    settings = StudioSettings(
        database=f"sqlite:///{tmp_path}/studio.db", storage=str(tmp_path / "objects"), model="testing:tiny"
    )
    composition = compose(settings, find_limits("unlimited"), works=False)
    studio = Studio(composition, settings, find_limits("unlimited"))
    with studio:
        from tests.unit.services.conftest import make_recording

        project = studio.upload(make_recording(1))
        assert studio.sweep().jobs_recovered == 0
        assert (studio.status(project.id).phase, studio.health()["queue"]) == ("queued", "ok")


def test_settings_travel_through_the_environment(tmp_path: Path) -> None:
    """What one process has is what another is given."""
    settings = StudioSettings(
        database="memory://",
        storage=str(tmp_path),
        storage_options={"key": "a", "client_kwargs": {"endpoint_url": "http://127.0.0.1:9"}},
        routes={"htdemucs*": "gpu", "*": "cpu"},
        lease_seconds=2.5,
        auto_upgrade=False,
    )
    assert StudioSettings.from_environment(settings.to_environment()) == settings


def test_text_is_read_the_same_from_arguments_and_variables() -> None:
    """A setting that is given as text is what its variable would make it."""
    texts = {
        "routes": "htdemucs*=gpu,*=cpu",
        "storage_options": '{"key": "a"}',
        "lease_seconds": "2.5",
        "max_attempts": "2",
        "auto_upgrade": "off",
    }
    variables = {f"ISOMIX_{name.upper()}": text for name, text in texts.items()}
    settings = StudioSettings.from_environment({}, **texts)
    assert settings == StudioSettings.from_environment(variables)
    assert (settings.routes, settings.auto_upgrade) == ({"htdemucs*": "gpu", "*": "cpu"}, False)


@pytest.mark.parametrize("variable", ["ISOMIX_LEASE_SECONDS", "ISOMIX_STORAGE_OPTIONS", "ISOMIX_AUTO_UPGRADE"])
def test_a_variable_that_cannot_be_read_is_named(variable: str) -> None:
    """Not the setting's inner name alone."""
    with pytest.raises(InvalidOptions, match=variable):
        StudioSettings.from_environment({variable: "perhaps"})


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork here")
def test_a_forked_child_is_told_to_open_its_own_studio(tmp_path: Path) -> None:
    """Its parent's studio raises a typed error there, and closing it there leaves the parent's worker on the list."""
    addresses = [f"sqlite:///{tmp_path}/studio.db", str(tmp_path / "objects")]
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, *addresses]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
