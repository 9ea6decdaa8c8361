"""The sandbox's adapter takes nothing for certain that the sandbox has not plainly said."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from catena.chains.step_types import Outcome
from catena.clock import system_clock
from catena.errors import Unavailable
from catena.gateways.contract import Capability, Gateway, Order
from catena.gateways.sandbox import connect
from catena.outside.client import OutsideClient
from catena.outside.signing import format_secret
from tests.outside.partner import answer, make_settings, run_partner, says

ORDER = Order(
    key="cte_1.step.forward.1",
    amount=10_00,
    currency="EUR",
    method={"type": "card", "token": "tok_approved"},
    about="ch_1",
    note="",
    chain="cte_1",
    step="step",
    first_at=system_clock(),
    timeout_seconds=10.0,
)
THING = {"id": "ch_1", "status": "approved", "amount": 10_00, "currency": "EUR"}
GIFT = {
    "id": "eff_1",
    "type": "gift",
    "reference": "ch_1",
    "amount": 1,
    "fee": 0,
    "currency": "EUR",
    "at": "2026-01-01T00:00:00Z",
}
EVER = (dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(2999, 1, 1, tzinfo=dt.UTC))


@asynccontextmanager
async def connected(status: str, body: bytes) -> AsyncIterator[Gateway]:
    """A gateway that always answers this."""
    async with (
        run_partner(says(answer(body, status=status))) as partner,
        OutsideClient(make_settings(answer_bytes=10_000)) as client,
    ):
        yield connect(
            "odd",
            url=partner.url,
            api_key="key",
            webhook_secret=format_secret(bytes(32)),
            client=client,
            clock=system_clock,
        )


def refuse(code: str, *, permanent: bool = True) -> bytes:
    """The body of a refusal."""
    return json.dumps({"error": {"code": code, "permanent": permanent}}).encode()


@pytest.mark.parametrize(
    "capability", [one for one in Capability if one not in ("webhook", "statement")]
)
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        ("201 Created", json.dumps(THING).encode(), Outcome.APPROVED),
        ("201 Created", b"<html>", Outcome.UNKNOWN),
        ("201 Created", b"{}", Outcome.UNKNOWN),
        ("200 OK", json.dumps({**THING, "status": "splendid"}).encode(), Outcome.UNKNOWN),
        ("200 OK", json.dumps({**THING, "amount": "1000"}).encode(), Outcome.UNKNOWN),
        ("204 No Content", b"", Outcome.UNKNOWN),
        ("302 Found", b"", Outcome.UNKNOWN),
        ("402 Payment Required", refuse("lost_card"), Outcome.DECLINED),
        ("402 Payment Required", b"<html>", Outcome.UNKNOWN),
        ("400 Bad Request", refuse("idempotency_key_reused"), Outcome.UNKNOWN),
        ("404 Not Found", b"<html>", Outcome.UNKNOWN),
        ("409 Conflict", refuse("idempotency_key_in_use"), Outcome.UNKNOWN),
        ("422 Unprocessable", refuse("too_late"), Outcome.DECLINED),
        ("500 Oops", refuse("internal_error"), Outcome.UNKNOWN),
        ("503 Oops", b"", Outcome.UNKNOWN),
    ],
)
async def test_an_act_is_read_strictly(
    capability: Capability, status: str, body: bytes, outcome: Outcome
) -> None:
    """Only what the sandbox plainly says in its own form approves or declines."""
    async with connected(status, body) as gateway:
        assert (await gateway.acts[capability](ORDER)).outcome is outcome


@pytest.mark.parametrize("status", ["401 No", "403 No", "404 No", "429 No"])
async def test_a_refusal_says_nothing_of_an_earlier_request(status: str) -> None:
    """What refuses to look at a request is a decline of the first, and none of a repeated one."""
    async with connected(status, refuse("no")) as gateway:
        charge = gateway.acts[Capability.CHARGE]
        first, repeated = await charge(ORDER), await charge(ORDER._replace(repeats=True))
    assert (first.outcome, first.permanent) == (Outcome.DECLINED, status.startswith("404"))
    assert repeated.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        ("200 OK", b'{"data":[]}', Outcome.NOT_FOUND),
        ("200 OK", b"{}", Outcome.UNKNOWN),
        ("200 OK", b"<html>", Outcome.UNKNOWN),
        ("404 Not Found", refuse("not_found"), Outcome.UNKNOWN),
        ("401 Unauthorized", refuse("unauthenticated"), Outcome.UNKNOWN),
        ("429 Later", refuse("rate_limited"), Outcome.UNKNOWN),
        ("500 Oops", b"", Outcome.UNKNOWN),
        (
            "200 OK",
            json.dumps({"data": [{**THING, "status": "declined"}]}).encode(),
            Outcome.DECLINED,
        ),
        (
            "200 OK",
            json.dumps({"data": [{**THING, "status": "declined"}, THING]}).encode(),
            Outcome.APPROVED,
        ),
    ],
)
async def test_a_look_up_is_read_strictly(status: str, body: bytes, outcome: Outcome) -> None:
    """Only an empty list says that a key was never seen; what was done outweighs what was not."""
    async with connected(status, body) as gateway:
        assert (await gateway.look_ups[Capability.CHARGE](ORDER)).outcome is outcome


@pytest.mark.parametrize("capability", [Capability.CAPTURE, Capability.CANCEL, Capability.REFUND])
async def test_an_order_about_nothing_is_not_sent(capability: Capability) -> None:
    """Without a reference there is nothing to ask for."""
    async with connected("201 Created", json.dumps(THING).encode()) as gateway:
        told = await gateway.acts[capability](ORDER._replace(about=None))
    assert (told.outcome, told.code) == (Outcome.DECLINED, "reference_missing")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", b"{}"),
        ("500 Oops", b""),
        ("200 OK", json.dumps({"data": [GIFT], "next": None}).encode()),
    ],
)
async def test_a_statement_is_read_whole_or_not_at_all(status: str, body: bytes) -> None:
    """A statement that cannot be read, or has unknown lines, is none."""
    async with connected(status, body) as gateway:
        assert gateway.read_statement is not None
        with pytest.raises(Unavailable):
            await gateway.read_statement(*EVER)
