"""One service and its sandbox for all tests of a worker; each module is proven at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from catena.db.embedded import EmbeddedPostgres
from catena.db.verify import verify
from catena.flows.notices import Intake
from tests.contract import Contract
from tests.flows.desk import Desk, make_cards
from tests.flows.gateways import Shop, make_database, run_shop
from tests.postgres import Database
from tests.scribe import open_ledger

pytest.register_assert_rewrite("tests.flows.cases")


@pytest.fixture(scope="session")
def flows_database(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A database whose ledgers no other process works in."""
    with make_database(postgres_server, migrated_template) as database:
        yield database


@pytest.fixture(scope="session")
def open_shop(
    flows_database: Database, contract: Contract, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A service whose gateway is a sandbox."""
    place = tmp_path_factory.mktemp("shop")
    with run_shop(flows_database, contract, place) as shop:
        yield shop


@pytest.fixture(scope="module")
def shop(open_shop: Shop) -> Iterator[Shop]:
    """The same; at a module's end all that it has done agrees, here and there."""
    yield open_shop
    open_shop.prove()


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    """Notices are taken in; at the end every row agrees."""
    cards = make_cards()
    async with open_ledger(database, cards=cards) as scribe:
        yield Desk(scribe, Intake(scribe.pool, scribe.journal, cards.catalogue))
        async with scribe.pool.acquire() as connection:
            assert await verify(connection, scribe.ledger) == []
