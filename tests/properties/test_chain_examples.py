"""What the model of chains once found, as small as it gets."""

from __future__ import annotations

from catena.chains.definition import Step
from catena.chains.states import ChainState
from catena.db.verify import verify
from tests.postgres import Database
from tests.scribe import open_ledger


async def test_a_refused_step_that_uses_a_system_account_first_rolls_its_chain_back(
    database: Database,
) -> None:
    """The account of fees is not there yet, and not afterwards either; nothing else is amiss."""
    async with open_ledger(database) as scribe:
        wallet = await scribe.open()
        inputs = {"account_id": wallet, "amount": 5, "currency": "USD"}
        chain = await scribe.chain(Step("fee", "fee", inputs))
        assert chain.state is ChainState.ROLLED_BACK
        assert chain.failure is not None
        assert chain.failure.code == "insufficient_funds"
        await scribe.post(scribe.deposit(wallet, 5))
        chain = await scribe.chain(Step("fee", "fee", inputs))
        assert chain.state is ChainState.COMPLETED
        async with scribe.pool.acquire() as connection:
            assert await verify(connection, scribe.ledger) == []
