"""What is special about stores at a URL: verification, unfinished files, ages, names of downloads."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import fsspec
import pytest

from isomix.errors import IntegrityError, StorageError
from isomix.storage import open_store
from isomix.storage.door import as_storage_error, check_size
from isomix.storage.remote import RemoteStore
from isomix.storage.transfer import get_age, make_disposition

KEY = "projects/p1/mixture.wav"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def read(store, key):
    with store.open(key) as file:
        return file.read()


@pytest.fixture
def store(tmp_path):
    """Return a store whose file system shows files while they grow."""
    return RemoteStore(f"file://{tmp_path}/objects", {})


def test_memory_is_fsspecs_own(tmp_path):
    """What is stored under ``memory://NAME`` lies in fsspec's memory under that name."""
    store = open_store(f"memory://{tmp_path.name}")
    store.put_bytes(KEY, b"x")
    assert fsspec.filesystem("memory").cat_file(f"/{tmp_path.name}/{KEY}") == b"x"
    store.delete(KEY)


def test_an_object_appears_whole_or_not(store, tmp_path):
    """Where the system refuses more bytes, there is no object, the file is kept, and nothing unfinished is left."""
    (tmp_path / "big").write_bytes(bytes(3_000_000))
    code = (
        "import sys; from pathlib import Path; from isomix.errors import StorageError\n"
        "from isomix.storage.remote import RemoteStore\n"
        f"try: RemoteStore(sys.argv[1], {{}}).put_file({KEY!r}, Path(sys.argv[2]))\n"
        "except StorageError as error: print(error)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, store.url, str(tmp_path / "big")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "cannot be stored" in ended.stdout
    assert list(store.list_objects("projects/")) == []
    assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []
    assert (tmp_path / "big").stat().st_size == 3_000_000


def test_unfinished_files_are_swept(store, tmp_path):
    """A file that a killed process has left unfinished is no object, and is removed when it is old."""
    store.put_bytes(KEY, b"x")
    left = tmp_path / "objects" / ".staging" / "left"
    left.write_bytes(b"half")
    store.sweep_staging(datetime.now(UTC) - timedelta(hours=1))
    assert left.exists()
    os.utime(left, (0, 0))
    store.sweep_staging(datetime.now(UTC) - timedelta(hours=1))
    assert not left.exists()
    assert [info.key for info in store.list_objects("projects/")] == [KEY]


def test_staging_of_this_machine_is_swept(store, tmp_path, monkeypatch):
    """What a killed process has left in the folder for temporary files is removed when it is old, and only that."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    for name in ("isomix-staging-old", "isomix-staging-new", "somebody-elses"):
        (tmp_path / "tmp" / name).mkdir(parents=True)
    for name in ("isomix-staging-old", "somebody-elses"):
        os.utime(tmp_path / "tmp" / name, (0, 0))
    assert store.sweep_staging(datetime.now(UTC) - timedelta(hours=1)) == 1
    assert sorted(path.name for path in (tmp_path / "tmp").iterdir()) == ["isomix-staging-new", "somebody-elses"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that others fork is why this must work
def test_a_forked_process_has_connections_of_its_own(store):
    """After a fork a store opens its file system anew, and its parent's stays."""
    store.put_bytes(KEY, b"x")
    mine = store._system
    child = os.fork()
    if not child:
        os._exit(0 if store._system is not mine and read(store, KEY) == b"x" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store._system is mine


def test_a_closed_store_opens_again(store):
    """Who uses a store after closing it gets new connections."""
    mine = store._system
    store.close()
    store.put_bytes(KEY, b"x")
    assert store._system is not mine


def test_sizes_are_verified():
    """An object of another size than its file is an error that tells both."""
    check_size(KEY, 3, 3)
    with pytest.raises(IntegrityError, match="2 bytes instead of 3"):
        check_size(KEY, 3, 2)


@pytest.mark.parametrize(
    "facts",
    [
        {"LastModified": NOON},
        {"mtime": NOON.timestamp()},
        {"updated": "2026-01-01T12:00:00Z"},
        {"created": NOON.replace(tzinfo=None)},
        {"last_modified": NOON.astimezone(timezone(timedelta(hours=9)))},
        {"LastModified": "", "mtime": NOON},
    ],
)
def test_ages_are_told_in_many_ways(facts):
    """However a file system tells when a file was written, it is the same moment in UTC."""
    assert get_age(facts) == NOON
    assert get_age(facts).utcoffset() == timedelta(0)


def test_a_file_without_an_age_is_new():
    """What has no age must not be swept as if it were old."""
    assert datetime.now(UTC) - get_age({"size": 1}) < timedelta(minutes=1)


@pytest.mark.parametrize("name", ['a"b\\c.wav', "a\r\nSet-Cookie: x", "Größe.flac", "歌.mp3", "../../etc/passwd", ""])
def test_names_of_downloads_cannot_break_a_header(name):
    """Whatever a name contains, the header is one line of ASCII with one quoted name."""
    header = make_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert "\\" not in header


@pytest.mark.parametrize("error", [OSError("x"), TimeoutError(), RuntimeError("session"), KeyError("k")])
def test_whatever_a_library_raises_is_a_storage_error(error):
    """Exceptions of any kind are translated, with their cause and the key."""
    with pytest.raises(StorageError) as caught, as_storage_error("it failed", KEY):
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.facts["path"] == KEY


def test_staging_that_cannot_be_made_is_a_storage_error(store, tmp_path, monkeypatch):
    """A machine without room for temporary files says so."""
    Path(tmp_path / "file").write_text("x")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="staging"), store.make_staging():
        pass
