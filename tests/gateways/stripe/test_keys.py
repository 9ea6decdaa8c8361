"""What became of a key: lists show what it has made, and after a day it is not sent on a guess."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import pytest

from catena.chains.step_types import Answer, Outcome
from catena.gateways.contract import Act, Capability, Gateway
from catena.gateways.stripe.limits import (
    CLOCK_SKEW,
    KEY_AGE_MAX,
    PAGES_LATE,
    PAGES_SOON,
    PROMPTLY,
)
from tests.gateways.stripe.running import AT, KEY, Proxy, connected, make_order
from tests.gateways.stripe.shapes import INTENT_PATH, card_error, error, intent, listing

CREATE: Final = "/v1/payment_intents"
LATE: Final = AT - KEY_AGE_MAX
REPLAYED: Final = {"idempotent-replayed": "true"}
OTHERS: Final = intent(id="pi_other", metadata={"catena_key": "cte_b.pay.forward.1"})


def look_up(stripe: Gateway) -> Act:
    """Asks what has become of a charge."""
    return stripe.look_ups[Capability.CHARGE]


async def test_a_look_up_that_finds_does_nothing(stripe: Gateway, proxy: Proxy) -> None:
    """It reads the minutes in which the key was used, and finds what bears it."""
    proxy.answers("GET", CREATE, listing(OTHERS, more=True))
    proxy.answers("GET", CREATE, listing(intent()))
    assert (await look_up(stripe)(make_order())).outcome is Outcome.APPROVED
    first, second = proxy.heard()
    asked = dict(first["form"])
    assert int(asked["created[gte]"]) < AT.timestamp() < int(asked["created[lte]"])
    assert asked["limit"] == "100"
    assert second["form"] == [*first["form"], ("starting_after", "pi_other")]
    assert proxy.heard("POST") == []


async def test_a_key_that_was_never_sent_is_not_found(stripe: Gateway, proxy: Proxy) -> None:
    """Nothing can be at work, and a list that was read to its end shows nothing."""
    proxy.answers("GET", CREATE, listing(OTHERS))
    assert await look_up(stripe)(make_order()) == Answer(Outcome.NOT_FOUND)


STANDS: list[tuple[str, Outcome]] = [
    ("succeeded", Outcome.APPROVED),
    ("processing", Outcome.PENDING),
    ("requires_action", Outcome.PENDING),
    ("canceled", Outcome.DECLINED),
]


@pytest.mark.parametrize(("status", "outcome"), STANDS)
async def test_what_is_found_is_as_it_stands_now(
    stripe: Gateway, proxy: Proxy, status: str, outcome: Outcome
) -> None:
    """A list shows how things stand now, not how they stood when the key was used."""
    proxy.answers("GET", CREATE, listing(intent(status)))
    assert (await look_up(stripe)(make_order())).outcome is outcome


async def test_a_debit_that_failed_is_ended_when_it_is_asked_about(
    stripe: Gateway, proxy: Proxy
) -> None:
    """Days after it was taken a debit fails: it is canceled, and only then declined, for good."""
    failed = intent("requires_payment_method", last_payment_error={"code": "insufficient_funds"})
    proxy.answers("GET", CREATE, listing(failed))
    proxy.answers("POST", f"{INTENT_PATH}/cancel", intent("canceled"))
    order = make_order(
        method={"type": "sepa_debit", "payment_method": "pm_1", "mandate": "mandate_1"}
    )
    answer = await look_up(stripe)(order)
    assert (answer.outcome, answer.code) == (Outcome.DECLINED, "insufficient_funds")
    assert answer.permanent, "it would be presented anew"


async def test_a_card_that_was_refused_for_now_may_be_tried_again(
    stripe: Gateway, proxy: Proxy
) -> None:
    """What a look-up finds is said of the charge, and is as much for now as its answer was."""
    failed = intent("requires_payment_method", last_payment_error={"code": "insufficient_funds"})
    proxy.answers("GET", CREATE, listing(failed))
    proxy.answers("POST", f"{INTENT_PATH}/cancel", intent("canceled"))
    answer = await look_up(stripe)(make_order())
    told = (answer.outcome, answer.permanent, answer.of_the_call)
    assert told == (Outcome.DECLINED, False, True)


BROKEN: list[tuple[str, int, Any]] = [
    ("it broke", 500, error()),
    ("it turned away", 429, error("rate_limit")),
    ("our key is not in force", 401, error()),
    ("it is no list", 200, intent()),
    ("it holds something strange", 200, {"object": "list", "data": ["pi_1"], "has_more": False}),
    ("it does not say whether that was all", 200, {"object": "list", "data": []}),
    ("its page has no last one", 200, listing(more=True)),
]


@pytest.mark.parametrize("first_at", [AT, LATE], ids=["soon", "late"])
@pytest.mark.parametrize(
    ("status", "body"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
async def test_a_list_that_is_not_whole_proves_nothing(
    stripe: Gateway,
    proxy: Proxy,
    status: int,
    body: Any,  # noqa: ANN401  # any JSON
    first_at: dt.datetime,
) -> None:
    """Unless the list was read to its end, what is not in it may still exist."""
    proxy.answers("GET", CREATE, body, status)
    answer = await look_up(stripe)(make_order(first_at=first_at))
    assert answer == Answer(Outcome.UNKNOWN, code="search_incomplete")
    assert proxy.heard("POST") == []


def fill(proxy: Proxy, pages: int) -> None:
    """The list has as many pages of what is not ours, and more."""
    for number in range(pages):
        proxy.answers("GET", CREATE, listing({**OTHERS, "id": f"pi_{number}"}, more=True))


async def test_what_was_sent_and_is_not_found_is_sent_again(stripe: Gateway, proxy: Proxy) -> None:
    """Byte for byte, with the same key, so that Stripe takes it for the first one; what it repeats
    is of the first moment, so how things stand now is read.
    """
    proxy.rule("POST", CREATE, "drop")
    assert (await stripe.acts[Capability.CHARGE](make_order())).outcome is Outcome.UNKNOWN
    proxy.answers("GET", CREATE, listing(OTHERS))
    proxy.answers("POST", CREATE, intent("processing"), headers=REPLAYED)
    proxy.answers("GET", INTENT_PATH, intent())
    assert (await look_up(stripe)(make_order(repeats=True))).outcome is Outcome.APPROVED
    first, second = proxy.heard("POST")
    assert first["raw"] == second["raw"]
    assert first["headers"] == second["headers"]


async def test_where_lists_are_too_long_the_key_is_asked(stripe: Gateway, proxy: Proxy) -> None:
    """The first try was declined, the payer tried again: the money is here."""
    fill(proxy, PAGES_SOON)
    proxy.answers("POST", CREATE, card_error("generic_decline"), 402, headers=REPLAYED)
    proxy.answers("GET", INTENT_PATH, intent())
    assert (await look_up(stripe)(make_order())).outcome is Outcome.APPROVED


REPEATED: list[tuple[int, dict[str, Any], Outcome, str]] = [
    (409, error("idempotency_key_in_use"), Outcome.UNKNOWN, "idempotency_key_in_use"),
    (429, error("rate_limit"), Outcome.UNKNOWN, "rate_limit"),
    (401, error(), Outcome.UNKNOWN, "http_401"),
    (500, error(type="api_error"), Outcome.UNKNOWN, "http_500"),
    (400, error(type="idempotency_error"), Outcome.UNKNOWN, "idempotency_error"),
    (400, error("amount_too_small"), Outcome.DECLINED, "amount_too_small"),
]


@pytest.mark.parametrize(("status", "body", "outcome", "code"), REPEATED)
async def test_a_repeated_request_tells_or_says_nothing(
    stripe: Gateway,
    proxy: Proxy,
    status: int,
    body: dict[str, Any],
    outcome: Outcome,
    code: str,
) -> None:
    """What is at work, broke or was turned away says nothing of the first request; what is refused
    was refused then, too.
    """
    proxy.answers("GET", CREATE, listing())
    proxy.answers("POST", CREATE, body, status)
    answer = await look_up(stripe)(make_order(repeats=True))
    assert (answer.outcome, answer.code) == (outcome, code)


async def test_what_a_repeat_shows_has_to_be_read_anew(stripe: Gateway, proxy: Proxy) -> None:
    """A replay alone approves nothing: how things stand now could not be read."""
    proxy.answers("GET", CREATE, listing())
    proxy.answers("POST", CREATE, intent(), headers=REPLAYED)
    proxy.answers("GET", INTENT_PATH, error(), 500)
    answer = await look_up(stripe)(make_order(repeats=True))
    assert answer == Answer(Outcome.UNKNOWN, code="not_read_anew")


async def test_after_a_day_a_whole_list_without_it_is_certain(
    stripe: Gateway, proxy: Proxy
) -> None:
    """Both the first minutes and all the time since then were read to their end."""
    proxy.answers("GET", CREATE, listing(OTHERS))
    proxy.answers("GET", CREATE, listing())
    answer = await look_up(stripe)(make_order(first_at=LATE))
    assert answer == Answer(Outcome.NOT_FOUND)
    _, since = proxy.heard()
    assert dict(since["form"])["created[gt]"] == str(
        int((LATE + PROMPTLY + CLOCK_SKEW).timestamp())
    )


async def test_a_list_without_end_proves_nothing(stripe: Gateway, proxy: Proxy) -> None:
    """Of a key that may be forgotten so many pages are read, and nothing is sent."""
    fill(proxy, PAGES_LATE)
    answer = await look_up(stripe)(make_order(first_at=LATE))
    assert answer == Answer(Outcome.UNKNOWN, code="search_incomplete")
    assert proxy.heard("POST") == []


async def test_a_forgotten_key_is_sought_before_it_is_sent(stripe: Gateway, proxy: Proxy) -> None:
    """What it has made long ago answers the order, and nothing is sent again."""
    proxy.answers("GET", CREATE, listing(intent()))
    order = make_order(first_at=LATE, repeats=True)
    assert (await stripe.acts[Capability.CHARGE](order)).outcome is Outcome.APPROVED
    assert proxy.heard("POST") == []


async def test_a_forgotten_key_is_sent_when_it_has_made_nothing(
    stripe: Gateway, proxy: Proxy
) -> None:
    """A whole list shows that it never came: then it may be sent."""
    proxy.answers("GET", CREATE, listing(), times=2)
    proxy.answers("POST", CREATE, intent())
    proxy.answers("GET", INTENT_PATH, intent())
    order = make_order(first_at=LATE, repeats=True)
    assert (await stripe.acts[Capability.CHARGE](order)).outcome is Outcome.APPROVED


async def test_a_forgotten_key_is_not_sent_on_a_guess(stripe: Gateway, proxy: Proxy) -> None:
    """A list that broke off shows nothing: the key is not sent."""
    proxy.answers("GET", CREATE, listing(OTHERS, more=True))
    proxy.answers("GET", CREATE, error(), 503)
    order = make_order(first_at=LATE, repeats=True)
    assert (await stripe.acts[Capability.CHARGE](order)).outcome is Outcome.UNKNOWN
    assert proxy.heard("POST") == []


@pytest.mark.parametrize("seconds", [-1, 0])
async def test_the_key_is_trusted_for_less_than_a_day(proxy: Proxy, seconds: int) -> None:
    """Up to the limit it is sent at once, from it on the list is asked; it is under a day."""
    now = AT + KEY_AGE_MAX + dt.timedelta(seconds=seconds)
    if seconds < 0:
        proxy.answers("POST", CREATE, intent())
    else:
        proxy.answers("GET", CREATE, listing(intent()))
    async with connected(proxy.url, lambda: now) as stripe:
        answer = await stripe.acts[Capability.CHARGE](make_order())
    assert answer.outcome is Outcome.APPROVED
    assert dt.timedelta(hours=24) > KEY_AGE_MAX


async def test_a_decline_without_its_intent_is_sought(stripe: Gateway, proxy: Proxy) -> None:
    """An intent that a decline does not name could still take the money: it is found and ended."""
    bare = {"error": {"type": "card_error", "code": "card_declined", "charge": "ch_1"}}
    proxy.answers("POST", CREATE, bare, 402)
    proxy.answers("GET", CREATE, listing(intent("requires_payment_method")))
    proxy.answers("POST", f"{INTENT_PATH}/cancel", intent("canceled"))
    answer = await stripe.acts[Capability.CHARGE](make_order())
    assert answer.outcome is Outcome.DECLINED
    assert [one["method"] for one in proxy.heard()] == ["POST", "GET", "POST"]


async def test_a_decline_whose_intent_cannot_be_sought_is_unknown(
    stripe: Gateway, proxy: Proxy
) -> None:
    """What the decline has left behind may be paid later: nobody can say that it is over."""
    proxy.answers("POST", CREATE, {"error": {"type": "card_error"}}, 402)
    proxy.answers("GET", CREATE, error(), 500)
    answer = await stripe.acts[Capability.CHARGE](make_order())
    assert answer == Answer(Outcome.UNKNOWN, code="search_incomplete")


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, listing(intent()), Outcome.APPROVED),
        (200, listing(), Outcome.DECLINED),
        (500, error(), Outcome.UNKNOWN),
    ],
)
async def test_what_could_not_be_sent_today_may_have_been_sent(
    stripe: Gateway, proxy: Proxy, status: int, body: dict[str, Any], outcome: Outcome
) -> None:
    """A method that is refused by a rule of now may have been sent under the rules of then."""
    proxy.answers("GET", CREATE, body, status)
    order = make_order(method={"payment_method": "from_before"}, repeats=True)
    assert (await look_up(stripe)(order)).outcome is outcome
    assert proxy.heard("POST") == []


async def test_a_decline_that_left_nothing_behind_is_one(stripe: Gateway, proxy: Proxy) -> None:
    """No intent bears the key, as a whole list shows: nothing is left that could succeed."""
    bare = {"error": {"type": "card_error", "code": "invalid_number"}}
    proxy.answers("POST", CREATE, bare, 402)
    proxy.answers("GET", CREATE, listing())
    answer = await stripe.acts[Capability.CHARGE](make_order())
    assert (answer.outcome, answer.code) == (Outcome.DECLINED, "invalid_number")


def test_the_key_is_ours() -> None:
    """The key that these tests use is made as the engine makes its own."""
    assert make_order().key == KEY
