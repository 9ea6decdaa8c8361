"""A service with a bank for all tests of a module; at its end all that it has done agrees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from catena.db.embedded import EmbeddedPostgres
from tests.contract import Contract
from tests.flows.bank.running import Payer, run_payer
from tests.flows.gateways import make_database
from tests.postgres import Database


@pytest.fixture(scope="module")
def bank_database(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A database in which nobody else works."""
    with make_database(postgres_server, migrated_template) as database:
        yield database


@pytest.fixture(scope="module")
def payer(
    bank_database: Database, contract: Contract, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Payer]:
    """The service and its bank."""
    with run_payer(bank_database, contract, tmp_path_factory.mktemp("bank")) as payer:
        yield payer
        payer.prove()
