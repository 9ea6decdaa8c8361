"""A key acts once, however its requests and their answers fare."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import httpx2
import pytest

from catena.sandbox.magic import WIRES
from tests.sandbox.running import Play, card, to_account

LOST = (httpx2.ReadTimeout, httpx2.RemoteProtocolError, httpx2.ReadError)


async def test_a_key_acts_once(play: Play) -> None:
    """The same key and body are answered as the first time, byte for byte, and said to be."""
    key = uuid4().hex
    first = await play.send("POST", "/v1/charges", card(), key=key)
    again = await play.send("POST", "/v1/charges", card(), key=key)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await play.count(key) == {"charge": 1}


async def test_a_decline_is_remembered(play: Play) -> None:
    """A declined key stays declined, even if the bank said that it was for now."""
    key, body = uuid4().hex, card("tok_declined_try_again_later")
    for replayed in (False, True):
        answer = await play.send("POST", "/v1/charges", body, key=key)
        assert answer.status_code == 402
        assert ("idempotent-replayed" in answer.headers) is replayed


async def test_a_key_belongs_to_one_request(play: Play) -> None:
    """Another body, or another path, with the same key is refused."""
    key = uuid4().hex
    await play.send("POST", "/v1/charges", card(), key=key)
    other = await play.send("POST", "/v1/charges", {**card(), "amount": 1}, key=key)
    payout = await play.send("POST", "/v1/payouts", to_account(), key=key)
    for answer in (other, payout):
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "idempotency_key_reused"


async def test_a_key_is_needed(play: Play) -> None:
    """An act of money without a key is refused."""
    answer = await play.send("POST", "/v1/charges", card())
    assert answer.json()["error"]["code"] == "idempotency_key_required"


async def test_a_key_is_forgotten_after_a_day(play: Play) -> None:
    """After 24 hours of its clock, and not before, a key acts anew; by it, both are found."""
    key = uuid4().hex
    await play.send("POST", "/v1/charges", card(), key=key)
    await play.advance(86_399)
    await play.send("POST", "/v1/charges", card(), key=key)
    assert await play.count(key) == {"charge": 1}
    await play.advance(1)
    await play.send("POST", "/v1/charges", card(), key=key)
    assert await play.count(key) == {"charge": 2}
    assert len((await play.read("/v1/charges", key=key))["data"]) == 2


async def test_a_key_at_work_is_refused_for_now(play: Play) -> None:
    """While the first request is at work the same key is a conflict; then it is a replay."""
    key, body = uuid4().hex, card("tok_slow")
    answers = await asyncio.gather(
        *(play.send("POST", "/v1/charges", body, key=key) for _ in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert (await play.send("POST", "/v1/charges", body, key=key)).status_code == 201
    assert await play.count(key) == {"charge": 1}


@pytest.mark.parametrize("kind", ["charge", "payout"])
@pytest.mark.parametrize("name", [name for name in WIRES if name not in ("silent", "slow")])
async def test_a_wire_goes_wrong_and_is_right_again(play: Play, name: str, kind: str) -> None:
    """Each wire acts or not as it says, and tries with the same key end in one effect."""
    wire, key, path = WIRES[name], uuid4().hex, f"/v1/{kind}s"
    body = card(f"tok_{name}") if kind == "charge" else to_account(f"acct_{name}")
    body["metadata"] = {"test": key}
    for _ in range(wire.times or 0):
        try:
            answer = await play.send("POST", path, body, key=key, timeout=0.3)
        except LOST:
            assert wire.how in ("hang", "drop")
        else:
            assert answer.status_code == wire.status
        assert len((await play.read(path, key=key))["data"]) == int(wire.acts)
    # A caller that has hung up may still be thought to wait for a moment.
    async with asyncio.timeout(10):
        while (answer := await play.send("POST", path, body, key=key)).status_code == 409:
            continue
    assert answer.status_code == 201
    assert await play.count(key) == {kind: 1}


async def test_silence_lasts(play: Play) -> None:
    """A silent wire answers no try, and nothing is done."""
    key = uuid4().hex
    for _ in range(2):
        with pytest.raises(httpx2.ReadTimeout):
            await play.send("POST", "/v1/charges", card("tok_silent"), key=key, timeout=0.2)
    assert await play.count(key) == {}


async def test_a_storm_does_not_begin_anew_with_another_key(play: Play) -> None:
    """Who is told to come later may come with a fresh key each time, and gets through."""
    body = {**card("tok_429"), "metadata": {"test": uuid4().hex}}
    statuses = [
        (await play.send("POST", "/v1/charges", body, key=uuid4().hex)).status_code
        for _ in range(4)
    ]
    assert statuses == [429, 429, 429, 201]


@pytest.mark.parametrize("act", ["capture", "cancel", "refund"])
async def test_wires_by_act(play: Play, act: str) -> None:
    """`wires` says by act which request goes wrong: here it acts, and its answer is lost."""
    method = card(wires={act: "dropped_after"})["method"]
    charge = await play.charge(method=method, capture=act == "refund")
    path = "/v1/refunds" if act == "refund" else f"/v1/charges/{charge['id']}/{act}"
    body = {"charge": charge["id"]} if act == "refund" else {}
    key = uuid4().hex
    with pytest.raises(LOST):
        await play.send("POST", path, body, key=key)
    answer = await play.send("POST", path, body, key=key)
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (201, "true")


async def test_faults_to_order(play: Play) -> None:
    """The next requests to a path go wrong as was ordered, whatever they ask, and then no more."""
    await play.do("/v1/faults", wire="500", count=2, path="/v1/charges")
    await play.do("/v1/faults", wire="500_after", path="/v1/charges")
    key = uuid4().hex
    assert (await play.send("GET", "/v1/charges")).status_code == 500
    assert (await play.send("POST", "/v1/payouts", to_account(), key=uuid4().hex)).is_success
    assert (await play.send("POST", "/v1/charges", card(), key=key)).status_code == 500
    assert await play.count(key) == {}
    assert (await play.send("POST", "/v1/charges", card(), key=key)).status_code == 500
    assert await play.count(key) == {"charge": 1}
    assert (await play.send("POST", "/v1/charges", card(), key=key)).status_code == 201
    assert (await play.read("/v1/faults"))["data"] == []


async def test_a_fault_can_hold_a_key_at_work(play: Play) -> None:
    """A request that is slow by a fault has its key at work meanwhile, and is done once."""
    await play.do("/v1/faults", wire="slow", path="/v1/charges")
    key = uuid4().hex
    answers = await asyncio.gather(
        *(play.send("POST", "/v1/charges", card(), key=key) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert await play.count(key) == {"charge": 1}


async def test_faults_can_be_taken_back(play: Play) -> None:
    """Faults that were ordered are forgotten at a word; one that is no wire is refused."""
    await play.do("/v1/faults", wire="429", count=100)
    await play.send("DELETE", "/v1/faults")
    assert (await play.send("GET", "/v1/charges")).status_code == 200
    assert (await play.send("POST", "/v1/faults", {"wire": "crossed"})).status_code == 400
