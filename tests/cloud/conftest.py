"""The store of a test: SQLite, and in a full run once more a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import PostgreSQL

from cloud.store import Database

STORES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    """A server for the tests that ask for it."""
    with PostgreSQL() as server:
        yield server


@pytest.fixture(params=STORES)
def database_url(request: pytest.FixtureRequest) -> str | None:
    """Address of the test's store, which has no rows, as --database takes it: None for SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        return None
    server: PostgreSQL = request.getfixturevalue("postgres")
    return server.emptied()


@pytest.fixture(params=STORES)
def new_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The same without even tables, for what changes the schema."""
    if request.param == "sqlite":
        yield None
        return
    server: PostgreSQL = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture
def database(tmp_path: Path, database_url: str | None) -> Iterator[Database]:
    """An empty store of its own, open."""
    opened = Database(tmp_path, database_url)
    yield opened
    opened.close()
