"""Places that cannot be stores are refused when they are opened, with the remedy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isomix.errors import InvalidOptions
from isomix.storage import open_store
from isomix.storage.folder import FolderStore

HEAVY = ("aiohttp", "botocore", "celery", "s3fs", "soundfile", "sqlalchemy", "torch")


def run(code):
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("place", ["{}", "file://{}", "local://{}"])
def test_paths_and_file_urls_are_folders(place, tmp_path):
    """A plain path and a file URL are the same folder."""
    store = open_store(place.format(tmp_path))
    assert isinstance(store, FolderStore)
    assert store.url == str(tmp_path)


@pytest.mark.parametrize("url", ["carrier-pigeon://loft", "://x", "simplecache::memory://x", "S3//bucket://x"])
def test_unknown_protocols_are_refused(url):
    """A URL that fsspec has nothing for, or that chains caches, names what there is instead."""
    with pytest.raises(InvalidOptions, match="s3://BUCKET/PREFIX"):
        open_store(url)


@pytest.mark.parametrize("url", ["s3://", "s3:///", "s3a://"])
def test_a_bucket_is_needed(url):
    """S3 without a bucket is no place."""
    with pytest.raises(InvalidOptions, match="bucket"):
        open_store(url)


def test_options_that_there_are_not_are_refused(tmp_path):
    """A folder has no options, and a file system takes only those that go together."""
    with pytest.raises(InvalidOptions, match="key"):
        open_store(tmp_path, {"key": "x"})
    with pytest.raises(InvalidOptions, match="not both"):
        open_store("s3://bucket", {"key": "x", "username": "y"})


def test_a_missing_package_is_named():
    """Without s3fs, opening a bucket tells what to install."""
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from isomix.errors import StorageError; from isomix.storage import open_store\n"
        "try: open_store('s3://bucket/x')\n"
        "except StorageError as error: print(error)"
    )
    assert 'pip install "isomix[s3]"' in run(code)


def test_passwords_are_not_shown():
    """The URL that people see has no password."""
    assert open_store("memory://user:secret@name").url == "memory://user:***@name"


def test_importing_is_light():
    """The room of storage, and a folder in it, need no heavy library."""
    code = f"import sys, isomix.storage as s; s.open_store('x'); print([m for m in {HEAVY} if m in sys.modules])"
    assert run(code).strip() == "[]"
