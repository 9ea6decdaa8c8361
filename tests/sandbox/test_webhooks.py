"""Events are told by signed webhooks: once, or as wrongly as the magic manner says."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import pytest

from catena.clock import system_clock
from catena.outside.signing import parse_secret, verify
from catena.sandbox.courier import PAUSES_SECONDS
from tests.gateways.receiver import Hook
from tests.sandbox.running import Play, card, listening

MINUTES = dt.timedelta(minutes=5)


def read_types(hooks: Sequence[Hook]) -> list[str]:
    """What they tell, in the order in which they came."""
    return [json.loads(hook.body)["type"] for hook in hooks]


def is_signed(hook: Hook, secret: str) -> bool:
    """Whether the holder of the secret sent this, now."""
    return verify(parse_secret(secret), hook.headers, hook.body, system_clock(), MINUTES)


def paid_with(webhooks: str, magic: str = "tok_approved") -> dict[str, Any]:
    """A method whose events are sent in this manner."""
    method: dict[str, Any] = card(magic, webhooks=webhooks)["method"]
    return method


async def test_an_event_tells_what_happened(play: Play) -> None:
    """An event is signed, has the thing as it then was, and repeats the key of the request."""
    async with listening(play) as (receiver, endpoint):
        charge = await play.charge("tok_pending_approved")
        await play.advance(10)
        await receiver.wait_for(lambda hooks: len(hooks) == 2)
    told = [json.loads(hook.body) for hook in receiver.hooks]
    assert [event["type"] for event in told] == ["charge.pending", "charge.approved"]
    assert [event["data"]["status"] for event in told] == ["pending", "approved"]
    assert {event["data"]["key"] for event in told} == {charge["key"]}
    assert all(is_signed(hook, endpoint["secret"]) for hook in receiver.hooks)
    assert [hook.headers["webhook-id"] for hook in receiver.hooks] == [e["id"] for e in told]


async def test_duplicated(play: Play) -> None:
    """Each event comes three times, with one id."""
    async with listening(play) as (receiver, _):
        await play.charge(method=paid_with("duplicated"))
        await receiver.wait_for(lambda hooks: len(hooks) == 3)
    assert len({hook.headers["webhook-id"] for hook in receiver.hooks}) == 1


@pytest.mark.parametrize("token", ["tok_approved", "tok_pending_approved"])
async def test_reordered(play: Play, token: str) -> None:
    """What was pending is told long after it was approved."""
    async with listening(play) as (receiver, _):
        await play.charge(method=paid_with("reordered", token))
        await play.advance(10)
        await receiver.wait_for(lambda hooks: len(hooks) == 1)
        await play.advance(20)
        await receiver.wait_for(lambda hooks: len(hooks) == 2)
    assert read_types(receiver.hooks) == ["charge.approved", "charge.pending"]
    first, second = (json.loads(hook.body)["created"] for hook in receiver.hooks)
    assert first >= second


async def test_late(play: Play) -> None:
    """An event comes an hour after what it tells."""
    async with listening(play) as (receiver, _):
        await play.charge(method=paid_with("late"))
        await play.advance(3_599)
        assert receiver.hooks == []
        await play.advance(1)
        assert read_types(receiver.hooks) == ["charge.approved"]


async def test_forged(play: Play) -> None:
    """Of four that come, one is true; those that were forged are not sent again when refused."""
    async with listening(play) as (receiver, endpoint):
        receiver.statuses = [400] * 3
        charge = await play.charge(method=paid_with("forged"))
        await receiver.wait_for(lambda hooks: len(hooks) == 4)
        assert sum(is_signed(hook, endpoint["secret"]) for hook in receiver.hooks) == 1
        for pause in PAUSES_SECONDS:
            await play.advance(pause)
        [event] = (await play.read("/v1/events", about=charge["id"]))["data"]
    tries = {one["disguise"]: one["attempts"] for one in event["deliveries"]}
    assert {tries[disguise] for disguise in ("stranger", "altered", "stale")} == {1}


async def test_none(play: Play) -> None:
    """Nothing is told, and what happened can be asked for."""
    async with listening(play) as (receiver, _):
        charge = await play.charge(method=paid_with("none"))
        await play.advance(86_400)
        assert receiver.hooks == []
    [event] = (await play.read("/v1/events", about=charge["id"]))["data"]
    assert (event["type"], event["deliveries"]) == ("charge.approved", [])


async def test_it_is_sent_until_it_is_taken(play: Play) -> None:
    """Who does not say 2xx is told again after each pause, by its clock, and then no more."""
    async with listening(play) as (receiver, _):
        receiver.statuses = [500, 302, 503]
        charge = await play.charge()
        await receiver.wait_for(lambda hooks: len(hooks) == 1)
        for seconds, tries in ((4, 1), (1, 2), (29, 2), (1, 3), (120, 4), (10_000, 4)):
            await play.advance(seconds)
            assert len(receiver.hooks) == tries
        [event] = (await play.read("/v1/events", about=charge["id"]))["data"]
    [delivery] = event["deliveries"]
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 4)


async def test_it_is_given_up_at_last(play: Play) -> None:
    """After the last pause a delivery is given up; a word sends the event once more."""
    async with listening(play) as (receiver, _):
        receiver.statuses = [500] * (len(PAUSES_SECONDS) + 1)
        charge = await play.charge()
        await receiver.wait_for(lambda hooks: len(hooks) == 1)
        for pause in PAUSES_SECONDS:
            await play.advance(pause)
        [event] = (await play.read("/v1/events", about=charge["id"]))["data"]
        assert event["deliveries"][0]["status"] == "given_up"
        told = await play.do(f"/v1/events/{event['id']}/resend")
    assert [one["status"] for one in told["deliveries"]] == ["given_up", "delivered"]
    assert {hook.headers["webhook-id"] for hook in receiver.hooks} == {event["id"]}


async def test_an_endpoint_has_a_secret_of_its_own(play: Play) -> None:
    """Each endpoint has its own secret, which is shown once; a secret that is none is refused."""
    async with listening(play) as (one, first), listening(play) as (other, second):
        await play.charge()
        await one.wait_for(lambda hooks: len(hooks) == 1)
        await other.wait_for(lambda hooks: len(hooks) == 1)
        listed = (await play.read("/v1/webhook_endpoints"))["data"]
    assert all("secret" not in endpoint for endpoint in listed)
    assert is_signed(one.hooks[0], first["secret"])
    assert is_signed(other.hooks[0], second["secret"])
    assert not is_signed(other.hooks[0], first["secret"])
    body = {"url": "http://127.0.0.1:9", "secret": "guessable"}
    assert (await play.send("POST", "/v1/webhook_endpoints", body)).status_code == 400
