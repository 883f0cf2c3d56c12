"""What is special about a folder as a store: links, renames, crashes, full disks."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from isomix.errors import ObjectNotFound, StorageError
from isomix.storage import open_store

KEY = "projects/p1/mixture.wav"
SHM = Path("/dev/shm")
WRITE = """
import sys
from isomix.storage import open_store
open_store(sys.argv[1]).put_bytes("projects/p1/mixture.wav", bytes(300 << 20))
"""


def read(store, key):
    with store.open(key) as file:
        return file.read()


@pytest.fixture
def root(tmp_path):
    """Return where the store is."""
    return tmp_path / "objects"


@pytest.fixture
def store(root):
    """Return an empty folder store."""
    return open_store(root)


def staged(root):
    return list((root / ".staging").iterdir())


def run_limited(root, limit_bytes, code):
    """Run code in a process whose files cannot grow beyond a limit, as on a full disk."""
    return subprocess.run(
        [sys.executable, "-c", code, str(root)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_opening_makes_nothing(root, store):
    """The folder comes with the first object; until then there is nothing to list, find or sweep."""
    assert list(store.list_objects("projects/")) == []
    with pytest.raises(ObjectNotFound):
        store.open(KEY)
    assert store.sweep_staging(datetime.now(UTC)) == 0
    assert not root.exists()


def test_a_file_cannot_be_a_store(root):
    """A file where the folder should be is refused when the store is opened."""
    root.write_text("a file")
    with pytest.raises(StorageError):
        open_store(root)


def test_a_file_of_the_same_disk_is_renamed(store):
    """Storing what was made in staging moves no bytes: the object is the same file."""
    with store.make_staging() as folder:
        file = folder / "mixture.wav"
        file.write_bytes(b"RIFF")
        inode = file.stat().st_ino
        store.put_file(KEY, file)
    with store.local_file(KEY) as path:
        assert path.stat().st_ino == inode


@pytest.mark.skipif(not SHM.is_dir(), reason="there is no second disk")
def test_a_file_of_another_disk_is_copied(root, store):
    """A file that cannot be renamed into the store is copied, is gone, and leaves no staging."""
    file = SHM / f"isomix-test-{os.getpid()}"
    file.write_bytes(b"RIFF" * 100_000)
    try:
        if file.stat().st_dev == root.parent.stat().st_dev:
            pytest.skip("there is no second disk")
        store.put_file(KEY, file)
        assert not file.exists()
    finally:
        file.unlink(missing_ok=True)
    assert read(store, KEY) == b"RIFF" * 100_000
    assert staged(root) == []


def test_a_link_is_stored_as_what_it_leads_to(store, tmp_path):
    """A symbolic link that is given away becomes an object with the bytes, not a link."""
    (tmp_path / "real").write_bytes(b"RIFF")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store.put_file(KEY, tmp_path / "link")
    (tmp_path / "real").write_bytes(b"else")
    with store.local_file(KEY) as path:
        assert not path.is_symlink()
        assert path.read_bytes() == b"RIFF"


def test_links_do_not_lead_out(root, store, tmp_path):
    """Symbolic links inside the store that lead out of it are refused by every method and never listed."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("secret")
    store.put_bytes("a/1", b"x")
    (root / "out").symlink_to(secret)
    (root / "a" / "file.txt").symlink_to(secret / "key.txt")
    for key in ("out/key.txt", "a/file.txt"):
        for use in (store.open, store.get_info, store.delete, lambda key: store.put_bytes(key, b"mine")):
            with pytest.raises(StorageError, match="leads out"):
                use(key)
    for use in (store.list_objects, store.delete_prefix, lambda prefix: store.copy_prefix("a/", prefix)):
        with pytest.raises(StorageError, match="leads out"):
            use("out/")
    assert [info.key for info in store.list_objects("a/")] == ["a/1"]
    store.delete_prefix("a/")
    assert (secret / "key.txt").read_text() == "secret"


def test_the_root_may_be_a_link(tmp_path):
    """A store that is itself reached by a link is a store like any other."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = open_store(tmp_path / "link")
    store.put_bytes(KEY, b"x")
    assert (tmp_path / "real" / KEY).read_bytes() == b"x"


def test_no_empty_folders_are_left(root, store):
    """Deleting the last object of a folder removes the folder, and those above it that are empty then."""
    for key in ("a/b/1", "a/c/d/2", "e/f/3"):
        store.put_bytes(key, b"x")
    store.delete("a/b/1")
    assert not (root / "a" / "b").exists()
    store.delete_prefix("a/c/")
    assert sorted(path.name for path in root.iterdir()) == [".staging", "e"]
    store.delete_prefix("e/f/")
    assert [path.name for path in root.iterdir()] == [".staging"]


def test_storing_and_deleting_at_once(store):
    """Threads whose last objects go and come in one folder never lose it to each other."""

    def work(number):
        for _ in range(100):
            store.put_bytes(f"a/b/{number}", b"x")
            assert read(store, f"a/b/{number}") == b"x"
            store.delete(f"a/b/{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert list(store.list_objects("a/")) == []


def test_an_object_cannot_lie_below_another(store):
    """An object is no folder: what would lie below it is refused with a remedy, and it stays as it is."""
    store.put_bytes("a/b", b"x")
    with pytest.raises(StorageError):
        store.put_bytes("a/b/c", b"y")
    with pytest.raises(ObjectNotFound):
        store.get_info("a/b/c")
    with pytest.raises(StorageError):
        store.put_bytes("a", b"y")
    assert read(store, "a/b") == b"x"


def test_copies_share_their_bytes(store):
    """A copied prefix takes no more room on the disk."""
    store.put_bytes("a/1", b"x" * 1000)
    store.copy_prefix("a/", "b/")
    with store.local_file("a/1") as original, store.local_file("b/1") as copy:
        assert original.samefile(copy)


def test_an_open_file_outlives_its_object(store):
    """Who has opened an object reads it to the end, though it is replaced or deleted meanwhile."""
    store.put_bytes(KEY, b"old")
    with store.open(KEY) as first:
        store.put_bytes(KEY, b"new")
        with store.open(KEY) as second:
            store.delete(KEY)
            assert (first.read(), second.read()) == (b"old", b"new")


def test_strange_files_are_not_objects(root, store):
    """What others have left in the folder is not listed."""
    store.put_bytes("a/1", b"x")
    (root / "a" / ".DS_Store").write_text("x")
    (root / "a" / "My Song.wav").write_text("x")
    os.mkfifo(root / "a" / "pipe")
    assert [info.key for info in store.list_objects("a/")] == ["a/1"]
    with pytest.raises(ObjectNotFound):
        store.get_info("a/pipe")


def test_a_file_that_cannot_be_written_whole_is_no_object(root, store):
    """Where the system refuses more bytes, the error says so, the old object stays and nothing else is left."""
    store.put_bytes(KEY, b"old")
    code = (
        "import sys; from isomix.errors import StorageError; from isomix.storage import open_store\n"
        f"try: open_store(sys.argv[1]).put_bytes({KEY!r}, bytes(3_000_000))\n"
        "except StorageError as error: print(error)"
    )
    ended = run_limited(root, 1_000_000, code)
    assert ended.returncode == 0, ended.stderr
    assert f"{KEY} cannot be stored" in ended.stdout
    assert "larger than" in ended.stdout
    assert read(store, KEY) == b"old"
    assert staged(root) == []


def test_a_full_disk_is_called_that(tmp_path):
    """On a disk without room the error names it, and deleting an object makes room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("this user cannot mount a small disk")
    try:
        store = open_store(disk / "objects")
        store.put_bytes(KEY, bytes(600_000))
        with pytest.raises(StorageError, match="the disk is full"):
            store.put_bytes("projects/p2/mixture.wav", bytes(600_000))
        assert [info.key for info in store.list_objects("projects/")] == [KEY]
        store.delete(KEY)
        store.put_bytes("projects/p2/mixture.wav", bytes(600_000))
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_killed_process_leaves_no_object(root, store):
    """A process that is killed while it stores leaves staging alone, which is swept when it is old."""
    process = subprocess.Popen([sys.executable, "-c", WRITE, str(root)])
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 1 << 20 for path in root.glob(".staging/*/object")):
        assert time.monotonic() < deadline
        assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list(store.list_objects("projects/")) == []
    assert store.sweep_staging(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert len(staged(root)) == 1
    assert store.sweep_staging(datetime.now(UTC) + timedelta(seconds=1)) == 1
    assert staged(root) == []


def test_a_folder_that_is_written_to_is_not_old(store):
    """A long job's staging stays: what counts is the last byte written, not when the folder was made."""
    with store.make_staging() as folder:
        (folder / "stem.wav").write_bytes(b"x")
        os.utime(folder, (0, 0))
        assert store.sweep_staging(datetime.now(UTC) - timedelta(hours=1)) == 0
        os.utime(folder / "stem.wav", (0, 0))
        assert store.sweep_staging(datetime.now(UTC) - timedelta(hours=1)) == 1
