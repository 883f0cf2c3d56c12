"""The store on a real S3 server: large objects, many objects, wrong keys, a server that dies, forked workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from tests.service_s3 import serve_s3

from isomix.errors import ObjectNotFound, StorageError
from isomix.storage import open_store

KEY = "projects/p1/mixture.wav"
LARGE_BYTES = 200 << 20
FLAT_BYTES = 150 << 20
TRANSFER = """
import json, sys
from pathlib import Path
from isomix.planning.measuring import get_peak_bytes
from isomix.storage import open_store

store = open_store(sys.argv[1], json.loads(sys.argv[2]))
store.check()
before = get_peak_bytes()
with store.make_staging() as folder:
    with (folder / "large.wav").open("wb") as file:
        file.truncate(int(sys.argv[3]))
    store.put_file("a/large.wav", folder / "large.wav")
with store.local_file("a/large.wav") as path:
    assert path.stat().st_size == int(sys.argv[3])
with store.open("a/large.wav") as file:
    total = 0
    while block := file.read(1 << 16):
        total += len(block)
assert total == int(sys.argv[3])
store.copy_prefix("a/", "b/")
print(get_peak_bytes() - before)
"""


def read(store, key):
    with store.open(key) as file:
        return file.read()


@pytest.fixture
def store(s3_server, s3_url):
    """Return a store at an empty place on S3."""
    store = open_store(s3_url, s3_server.options)
    yield store
    store.close()


def test_large_objects_do_not_fill_memory(s3_server, s3_url):
    """Storing, fetching, reading and copying 200 MiB takes much less memory than that."""
    ended = subprocess.run(
        [sys.executable, "-c", TRANSFER, s3_url, json.dumps(s3_server.options), str(LARGE_BYTES)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < FLAT_BYTES


def test_more_objects_than_one_request_takes(s3_server, s3_url, store):
    """1100 objects, which are two pages of S3's, are listed, copied and deleted."""
    system = s3_server.open_system()
    system.pipe({f"{s3_url}/a/{number:05}.flac": b"x" for number in range(1100)})
    store.put_bytes("ab/neighbour", b"x")
    assert len(list(store.list_objects("a/"))) == 1100
    store.copy_prefix("a/", "b/")
    store.delete_prefix("a/")
    assert list(store.list_objects("a/")) == []
    assert len(list(store.list_objects("b/"))) == 1100
    assert store.get_info("ab/neighbour").size_bytes == 1


def test_marks_of_folders_are_not_objects(s3_server, s3_url, store):
    """What a browser of buckets leaves behind, an empty object that ends in a slash, is not listed."""
    bucket, _, place = s3_url.removeprefix("s3://").partition("/")
    s3_server.open_system().call_s3("put_object", Bucket=bucket, Key=f"{place}/a/b/")
    store.put_bytes("a/1", b"x")
    assert [info.key for info in store.list_objects("a/")] == ["a/1"]
    with pytest.raises(ObjectNotFound):
        store.get_info("a/b")


def test_a_missing_bucket_is_not_a_missing_object(s3_server):
    """Storing into a bucket that does not exist says that, with a remedy."""
    with pytest.raises(StorageError, match="does the bucket") as caught:
        open_store("s3://isomix-missing-bucket/a", s3_server.options).check()
    assert not isinstance(caught.value, ObjectNotFound)


def test_wrong_keys_are_refused(s3_server, s3_url):
    """A wrong secret is a storage error, not an exception of some library, and the secret is not in it."""
    store = open_store(s3_url, {**s3_server.options, "secret": "wrong-secret"})
    for use in (store.check, lambda: store.get_info(KEY), lambda: list(store.list_objects("projects/"))):
        with pytest.raises(StorageError) as caught:
            use()
        assert not isinstance(caught.value, ObjectNotFound)
        assert "wrong-secret" not in str(caught.value)


def test_an_address_is_good_for_one_object(store):
    """A signed address does not open another object."""
    store.put_bytes(KEY, b"mine")
    store.put_bytes("projects/p2/mixture.wav", b"another's")
    url = store.sign_url(KEY, 60, "x.wav")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(url.replace("projects/p1", "projects/p2"), timeout=30)
    refusal.value.close()
    assert refusal.value.code == 403


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that others fork is why this must work
def test_a_forked_worker_uses_its_parents_store(store):
    """A store that has been used before a fork works in the child, and still in the parent."""
    store.put_bytes(KEY, b"parent")
    child = os.fork()
    if not child:
        good = read(store, KEY) == b"parent"
        store.put_bytes("projects/p2/mixture.wav", b"child")
        os._exit(not good)
    assert os.waitpid(child, 0)[1] == 0
    assert read(store, "projects/p2/mixture.wav") == b"child"


def test_a_server_that_dies_is_a_storage_error():
    """When the server is killed, every method says so, also in the middle of reading; no file is lost."""
    with serve_s3() as server:
        if server.process is None:
            pytest.skip("the server is not ours to kill")
        once = {"config_kwargs": {"retries": {"max_attempts": 0}}}  # besides the five tries of s3fs
        store = open_store(server.make_bucket(), {**server.options, **once})
        store.put_bytes(KEY, bytes(8 << 20))
        with store.make_staging() as folder, store.open(KEY) as file:
            (folder / "stem.flac").write_bytes(b"stem")
            assert file.read(10) == bytes(10)
            server.process.kill()
            server.process.wait()
            with pytest.raises(StorageError):
                file.read()
            with pytest.raises(StorageError):
                store.put_file("projects/p1/stem.flac", folder / "stem.flac")
            assert (folder / "stem.flac").read_bytes() == b"stem"
        for use in (store.check, lambda: store.get_info(KEY), lambda: list(store.list_objects("projects/"))):
            with pytest.raises(StorageError) as caught:
                use()
            assert not isinstance(caught.value, ObjectNotFound)
