"""Every database keeps the contract."""

import pytest

from isomix.persistence import open_database
from isomix.testing.databases import DatabaseContract


class TestMemory(DatabaseContract):
    @pytest.fixture
    def database(self):
        return open_database("memory://")


class TestSqlite(DatabaseContract):
    @pytest.fixture
    def database(self, tmp_path):
        database = open_database(f"sqlite:///{tmp_path / 'new folder' / '100% isomix?.db'}")
        yield database
        database.close()


class TestPostgres(DatabaseContract):
    @pytest.fixture
    def database(self, postgres_url):
        database = open_database(postgres_url)
        yield database
        database.close()
