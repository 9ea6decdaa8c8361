"""The books that the oracles recompute, each written once by the worker that needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from catena.db.embedded import EmbeddedPostgres
from tests.books import write_book
from tests.corruptions import copy_database, drop_database, spoiled, written_story
from tests.oracles.books import OracleBook

__all__ = ["big_book", "spoiled", "written_story"]

SEED, ENTRIES = 20260304, 20_000


@pytest.fixture(scope="session")
def big_book(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[OracleBook]:
    """A random book of 20,000 entries and more, in a database that no test changes."""
    database = copy_database(postgres_server, migrated_template)
    ledger = asyncio.run(write_book(database.service_dsn, SEED, ENTRIES))
    yield OracleBook(database.service_dsn, ledger)
    drop_database(postgres_server, database)
