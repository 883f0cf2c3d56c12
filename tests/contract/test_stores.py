"""Every object store keeps the same promises: in a folder, in memory, on S3, and where a put is not atomic."""

from __future__ import annotations

import secrets

import pytest

from isomix.storage import open_store
from isomix.storage.remote import RemoteStore
from isomix.testing.stores import ObjectStoreContract


class TestFolder(ObjectStoreContract):
    """A folder of this machine."""

    gives_copies = False

    @pytest.fixture
    def store(self, tmp_path):
        return open_store(tmp_path / "objects")

    @pytest.fixture
    def same_store(self, tmp_path):
        return open_store(f"file://{tmp_path}/objects")


class TestMemory(ObjectStoreContract):
    """fsspec's memory, which is one for the whole process."""

    @pytest.fixture
    def name(self):
        return f"memory://{secrets.token_hex(8)}"

    @pytest.fixture
    def store(self, name):
        store = open_store(name)
        yield store
        for top in ("projects/", "a/", "ab/", "b/", "c/", *(f"t{number}/" for number in range(20))):
            store.delete_prefix(top)

    @pytest.fixture
    def same_store(self, name):
        return open_store(name)


class TestS3(ObjectStoreContract):
    """A real S3 server."""

    @pytest.fixture
    def store(self, s3_server, s3_url):
        store = open_store(s3_url, s3_server.options)
        yield store
        store.close()

    @pytest.fixture
    def same_store(self, s3_server, s3_url):
        store = open_store(s3_url, s3_server.options)
        yield store
        store.close()


class TestNotAtomic(ObjectStoreContract):
    """A file system whose files are seen while they grow, as over SFTP: fsspec's own for local files."""

    @pytest.fixture
    def store(self, tmp_path):
        return RemoteStore(f"file://{tmp_path}/objects", {})

    @pytest.fixture
    def same_store(self, tmp_path):
        return RemoteStore(f"file://{tmp_path}/objects", {})
