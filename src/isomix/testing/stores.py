"""What every object store must do, as tests that any adapter can inherit.

::

    class TestMyStore(ObjectStoreContract):
        @pytest.fixture
        def store(self):
            return MyStore(...)

        @pytest.fixture
        def same_store(self):
            return MyStore(...)  # another handle of the same place
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from isomix.errors import IntegrityError, ObjectNotFound, StorageError
from isomix.ports import ObjectStore

KEY = "projects/p1/mixture.wav"
OTHER = "projects/p2/mixture.wav"
BAD_KEYS = (
    "",
    ".",
    "..",
    "../x",
    "a/../../x",
    "/etc/passwd",
    "a//b",
    "a\\b",
    "a\0b",
    "a/./b",
    ".staging/x",
    "a b",
    "~/x",
    "a/b\n",
    "file:///x",
)
"""Keys that could lead out of a store, or to something else than an object."""

USES: dict[str, Callable[[ObjectStore, str], object]] = {
    "put_bytes": lambda store, key: store.put_bytes(key, b"x"),
    "open": lambda store, key: store.open(key),
    "local_file": lambda store, key: _enter(store.local_file(key)),
    "get_info": lambda store, key: store.get_info(key),
    "delete": lambda store, key: store.delete(key),
    "sign_url": lambda store, key: store.sign_url(key, 60, "x.wav"),
    "list_objects": lambda store, key: list(store.list_objects(f"{key}/")),
    "copy_prefix from": lambda store, key: store.copy_prefix(f"{key}/", "a/"),
    "copy_prefix to": lambda store, key: store.copy_prefix("projects/p1/", f"{key}/"),
    "delete_prefix": lambda store, key: store.delete_prefix(f"{key}/"),
}
"""Every method that takes a key or a prefix, but `put_file`."""


def _enter(context: AbstractContextManager[Path]) -> None:
    with context:
        pass


def _read(store: ObjectStore, key: str) -> bytes:
    with store.open(key) as file:
        return file.read()


def _keys(store: ObjectStore, prefix: str) -> list[str]:
    return sorted(info.key for info in store.list_objects(prefix))


class ObjectStoreContract:
    """Inherit it and give the fixtures ``store`` (empty) and ``same_store`` (another handle of the same place)."""

    gives_copies: ClassVar[bool] = True
    """Whether `local_file` gives copies; False for a folder, which gives the objects themselves."""

    def test_bytes_come_back(self, store: ObjectStore) -> None:
        """What is put is what is read, with its size and an age of about now."""
        store.put_bytes(KEY, b"RIFF" * 1000)
        info = store.get_info(KEY)
        assert _read(store, KEY) == b"RIFF" * 1000
        assert (info.key, info.size_bytes) == (KEY, 4000)
        assert abs(datetime.now(UTC) - info.modified_at) < timedelta(minutes=2)

    def test_a_file_is_given_away(self, store: ObjectStore, tmp_path: Path) -> None:
        """A stored file comes back whole, also a large one, and is gone from where it was."""
        data = bytes(range(256)) * (20 << 12)  # 20 MiB: more than one part of an upload
        with store.make_staging() as folder:
            for path in (folder / "staged.wav", tmp_path / "elsewhere.wav"):
                path.write_bytes(data)
                store.put_file(KEY, path)
                assert not path.exists()
                assert _read(store, KEY) == data

    def test_a_stored_file_is_as_young_as_its_storing(self, store: ObjectStore, tmp_path: Path) -> None:
        """The age of an object counts from when it was stored, not from when its bytes were written."""
        old = tmp_path / "old.wav"
        old.write_bytes(b"old")
        os.utime(old, (0, 0))
        store.put_file(KEY, old)
        assert datetime.now(UTC) - store.get_info(KEY).modified_at < timedelta(minutes=2)

    def test_an_empty_object_is_an_object(self, store: ObjectStore, tmp_path: Path) -> None:
        """No bytes are stored like any others."""
        store.put_bytes(KEY, b"")
        (tmp_path / "empty").touch()
        store.put_file(OTHER, tmp_path / "empty")
        assert _read(store, KEY) == _read(store, OTHER) == b""
        assert _keys(store, "projects/") == [KEY, OTHER]

    def test_writing_again_replaces_the_whole(self, store: ObjectStore, tmp_path: Path) -> None:
        """Nothing is left of a longer object that was there before."""
        store.put_bytes(KEY, b"long" * 100)
        store.put_bytes(KEY, b"short")
        assert _read(store, KEY) == b"short"
        (tmp_path / "new").write_bytes(b"new")
        store.put_file(KEY, tmp_path / "new")
        assert _read(store, KEY) == b"new"
        assert _keys(store, "projects/") == [KEY]

    def test_a_missing_object_is_not_found(self, store: ObjectStore) -> None:
        """Reading what is not there says so, also where other keys start with the name."""
        store.put_bytes("projects/p1/stems/0.flac", b"x")
        for key in (OTHER, "projects/p1/stems", "projects"):
            for use in ("open", "get_info", "local_file"):
                with pytest.raises(ObjectNotFound):
                    USES[use](store, key)
        with pytest.raises(ObjectNotFound):
            store.copy_prefix("projects/p2/", "projects/p3/")

    def test_a_missing_file_cannot_be_stored(self, store: ObjectStore, tmp_path: Path) -> None:
        """A file that is not there is refused, and no object appears."""
        with pytest.raises(StorageError):
            store.put_file(KEY, tmp_path / "missing.wav")
        assert _keys(store, "projects/") == []

    @pytest.mark.parametrize("use", USES)
    def test_keys_that_could_escape_are_refused(self, store: ObjectStore, use: str) -> None:
        """Every method refuses what is not a key."""
        for key in BAD_KEYS:
            with pytest.raises(StorageError) as refusal:
                USES[use](store, key)
            assert not isinstance(refusal.value, ObjectNotFound)

    def test_a_file_is_not_stored_under_a_key_that_could_escape(self, store: ObjectStore, tmp_path: Path) -> None:
        """What is not a key takes no file, and the file stays where it is."""
        file = tmp_path / "file"
        file.write_bytes(b"x")
        for key in BAD_KEYS:
            with pytest.raises(StorageError):
                store.put_file(key, file)
            assert file.read_bytes() == b"x"

    def test_keys_and_prefixes_are_told_apart(self, store: ObjectStore) -> None:
        """A prefix ends in a slash, a key does not."""
        for use in (store.open, store.get_info, store.delete):
            with pytest.raises(StorageError, match="prefix"):
                use("projects/p1/")
        with pytest.raises(StorageError, match="prefix"):
            store.list_objects("projects/p")
        with pytest.raises(StorageError, match="prefix"):
            store.delete_prefix("projects/p")

    def test_a_prefix_lists_exactly_its_own(self, store: ObjectStore) -> None:
        """``a/`` shows what is below ``a``, however deep, and nothing of ``ab``; where nothing is, nothing is shown."""
        for key in ("a/1", "a/b/2", "a/b/c/3.flac", "ab/4", "b/5"):
            store.put_bytes(key, key.encode())
        assert _keys(store, "a/") == ["a/1", "a/b/2", "a/b/c/3.flac"]
        assert {info.key: info.size_bytes for info in store.list_objects("a/b/")} == {"a/b/2": 5, "a/b/c/3.flac": 12}
        assert _keys(store, "nothing/") == []
        assert _keys(store, "a/1/") == []

    def test_listings_are_fresh(self, store: ObjectStore, same_store: ObjectStore) -> None:
        """What another handle writes or deletes is seen at once."""
        assert _keys(store, "a/") == []
        same_store.put_bytes("a/1", b"1")
        assert _keys(store, "a/") == ["a/1"]
        same_store.put_bytes("a/1", b"longer")
        assert store.get_info("a/1").size_bytes == 6
        assert _read(store, "a/1") == b"longer"
        same_store.delete("a/1")
        assert _keys(store, "a/") == []
        with pytest.raises(ObjectNotFound):
            store.get_info("a/1")

    def test_deleting_twice_is_harmless(self, store: ObjectStore) -> None:
        """A deleted object is gone, and deleting it again does nothing; so it is with a prefix."""
        store.put_bytes(KEY, b"x")
        store.put_bytes(OTHER, b"x")
        for _ in range(2):
            store.delete(KEY)
            store.delete_prefix("projects/p2/")
        store.delete("projects")
        assert _keys(store, "projects/") == []

    def test_a_name_that_others_start_with_is_not_deleted(self, store: ObjectStore) -> None:
        """Deleting a key leaves what lies below it."""
        store.put_bytes("a/b/c", b"x")
        store.delete("a/b")
        assert _keys(store, "a/") == ["a/b/c"]

    def test_a_prefix_is_deleted_and_nothing_else(self, store: ObjectStore) -> None:
        """All objects of a prefix go, however deep; its neighbours stay."""
        for key in ("a/1", "a/b/2", "ab/3", "b/a/4"):
            store.put_bytes(key, b"x")
        store.delete_prefix("a/")
        assert _keys(store, "a/") == []
        assert (_keys(store, "ab/"), _keys(store, "b/")) == (["ab/3"], ["b/a/4"])

    def test_a_prefix_is_copied(self, store: ObjectStore) -> None:
        """Copies have the bytes of the originals, are new, and outlive them."""
        for key in ("a/1", "a/b/2"):
            store.put_bytes(key, key.encode() * 1000)
        store.put_bytes("c/b/2", b"old")
        store.copy_prefix("a/", "c/")
        store.put_bytes("a/1", b"changed")
        store.delete_prefix("a/")
        assert _keys(store, "c/") == ["c/1", "c/b/2"]
        assert (_read(store, "c/1"), _read(store, "c/b/2")) == (b"a/1" * 1000, b"a/b/2" * 1000)

    def test_a_local_file_is_the_object(self, store: ObjectStore) -> None:
        """It has the object's bytes and the ending of its key; a copy is gone afterwards, an object is not."""
        store.put_bytes(KEY, b"RIFF")
        with store.local_file(KEY, hashlib.sha256(b"RIFF").hexdigest()) as path:
            assert path.read_bytes() == b"RIFF"
            assert path.suffix == ".wav"
        assert path.exists() is not self.gives_copies
        assert _read(store, KEY) == b"RIFF"

    def test_a_copy_with_other_bytes_is_refused(self, store: ObjectStore) -> None:
        """A copy that does not have the digest it must have is never given."""
        if not self.gives_copies:
            pytest.skip("this store gives the objects themselves")
        store.put_bytes(KEY, b"RIFF")
        with pytest.raises(IntegrityError):
            _enter(store.local_file(KEY, hashlib.sha256(b"RIFX").hexdigest()))

    def test_an_open_object_can_be_read_anywhere(self, store: ObjectStore) -> None:
        """It is seekable, and a range of it is what it is in the whole."""
        data = bytes(range(251)) * 20_000
        store.put_bytes(KEY, data)
        with store.open(KEY) as file:
            assert file.readable()
            assert file.seekable()
            assert file.read(10) == data[:10]
            for start in (4_000_000, 17, 5_000_000):
                assert file.seek(start) == start
                assert file.read(70_000) == data[start : start + 70_000]
            assert file.seek(-5, io.SEEK_END) == len(data) - 5
            assert (file.read(), file.read(), file.tell()) == (data[-5:], b"", len(data))

    def test_two_readers_do_not_disturb_each_other(self, store: ObjectStore) -> None:
        """Each open file has a position of its own."""
        store.put_bytes(KEY, b"0123456789")
        with store.open(KEY) as first, store.open(KEY) as second:
            assert first.read(4) == b"0123"
            assert second.read(2) == b"01"
            assert first.read() == b"456789"

    def test_staging_is_removed(self, store: ObjectStore) -> None:
        """A staging folder is there and empty, is gone on exit, also after an exception, and is never listed."""
        with store.make_staging() as folder:
            assert list(folder.iterdir()) == []
            (folder / "left").write_bytes(b"x")
        with pytest.raises(RuntimeError, match="mine"), store.make_staging() as second:  # noqa: PT012
            (second / "left").write_bytes(b"x")
            raise RuntimeError("mine")
        assert not folder.exists()
        assert not second.exists()

    def test_abandoned_staging_is_swept_by_age(self, store: ObjectStore) -> None:
        """What was written since the moment stays; what is older goes."""
        with store.make_staging() as folder:
            (folder / "stem.wav").write_bytes(b"x")
            store.sweep_staging(datetime.now(UTC) - timedelta(days=365))
            assert (folder / "stem.wav").exists()

    def test_many_threads_share_a_store(self, store: ObjectStore, tmp_path: Path) -> None:
        """Twenty threads store, read, list and delete objects of their own, and none gets another's."""

        def work(number: int) -> bool:
            key, data = f"t{number}/a/1.flac", bytes([number]) * 100_000
            file = tmp_path / f"{number}"
            file.write_bytes(data)
            for _ in range(3):
                store.put_bytes(key, data)
                ok = _read(store, key) == data and _keys(store, f"t{number}/") == [key]
                store.delete(key)
            store.put_file(key, file)
            with store.local_file(key) as path:
                return ok and path.read_bytes() == data

        with ThreadPoolExecutor(20) as pool:
            assert all(pool.map(work, range(20)))

    def test_threads_may_read_one_object(self, store: ObjectStore) -> None:
        """Ten threads that read the same object each get the whole of it."""
        data = bytes(range(256)) * 8192
        store.put_bytes(KEY, data)

        def read(key: str) -> bool:
            with store.local_file(key) as path:
                return path.read_bytes() == data == _read(store, key)

        with ThreadPoolExecutor(10) as pool:
            assert all(pool.map(read, [KEY] * 10))

    def test_a_reader_sees_old_or_new(self, store: ObjectStore, same_store: ObjectStore) -> None:
        """While an object is being replaced it can always be read, and is one version, never a mixture."""
        versions = [bytes([number]) * (300_000 + number) for number in range(2)]
        store.put_bytes(KEY, versions[0])
        done = threading.Event()
        seen: list[bytes] = []

        def watch() -> None:
            while not done.is_set():
                with suppress(StorageError):  # a store may tell that it was replaced between two ranges
                    seen.append(_read(same_store, KEY))

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                for number in range(30):
                    store.put_bytes(KEY, versions[number % 2])
            finally:
                done.set()
            watching.result()
        assert seen
        assert set(seen) <= set(versions)

    def test_an_address_leads_to_the_bytes(self, store: ObjectStore) -> None:
        """A signed address, where there is one, gives the object as a download of the name."""
        store.put_bytes(KEY, b"RIFF")
        url = store.sign_url(KEY, 60, 'My "Größe"\r\n.wav')
        if url is None:
            return
        assert url.startswith(("http://", "https://"))
        if url.startswith("http://127.0.0.1:"):
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert answer.read() == b"RIFF"
                assert "UTF-8''My%20%22Gr%C3%B6%C3%9Fe" in answer.headers["Content-Disposition"]

    def test_the_check_leaves_nothing(self, store: ObjectStore) -> None:
        """A store that works says so, and is as empty as before."""
        store.check()
        assert _keys(store, "check/") == []

    def test_closing_twice_is_harmless(self, store: ObjectStore) -> None:
        """A store can be closed, and closed again."""
        store.put_bytes(KEY, b"x")
        store.close()
        store.close()
