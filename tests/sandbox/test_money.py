"""What becomes of charges, captures, refunds, payouts and disputes: by magic, by act, by time."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from catena.sandbox.magic import ACCOUNTS, REASONS, TOKENS, WIRES
from tests.sandbox.running import Play, card, to_account
from tests.tidy.rules import REPO

COURSES = {
    "tok_approved": ["approved"],
    "tok_pending_approved": ["pending", "approved"],
    "tok_soon_approved": ["pending", "approved"],
    "tok_pending_declined": ["pending", "declined"],
    "tok_pending": ["pending", "pending"],
    "tok_action": ["action_needed"],
    "acct_paid": ["approved"],
    "acct_pending_paid": ["pending", "approved"],
    "acct_pending_rejected": ["pending", "declined"],
    "acct_pending": ["pending", "pending"],
    "acct_fails_after_paid": ["approved", "failed"],
}


def ask_for(magic: str) -> tuple[str, dict[str, Any]]:
    """Where to send what, so that this magic value is tried."""
    if magic.startswith("tok_"):
        return "/v1/charges", card(magic)
    return "/v1/payouts", to_account(magic)


@pytest.mark.parametrize("magic", COURSES)
async def test_a_magic_value_takes_its_course(play: Play, magic: str) -> None:
    """A charge or a payout is at first, and after ten seconds, what its magic value says."""
    path, body = ask_for(magic)
    first, *then = COURSES[magic]
    made = await play.do(path, **body)
    assert made["status"] == first
    for status in then:
        await play.advance(10)
        assert (await play.read(f"{path}/{made['id']}"))["status"] == status


@pytest.mark.parametrize(
    ("magic", "code", "permanent"),
    [
        (f"{prefix}{code}", code, reason.permanent)
        for prefix, title in (("tok_declined_", "Cards"), ("acct_rejected_", "Bank accounts"))
        for code, reason in REASONS[title].items()
    ],
)
async def test_a_decline_has_its_code(play: Play, magic: str, code: str, permanent: bool) -> None:  # noqa: FBT001
    """A decline is a 402 with its code, says whether it lasts, and has done nothing."""
    path, body = ask_for(magic)
    key = uuid4().hex
    answer = await play.send("POST", path, body, key=key)
    error = answer.json()["error"]
    assert answer.status_code == 402
    assert (error["type"], error["code"], error["permanent"]) == ("declined", code, permanent)
    assert error["thing"]["status"] == "declined"
    assert await play.count(key) == {}


def test_every_magic_value_is_tried() -> None:
    """What the tables have is tried in this folder: by course, decline, wire or follow-up."""
    tried = {*COURSES, "acct_rejected"}
    tried |= {f"tok_declined_{code}" for code in REASONS["Cards"]}
    tried |= {f"acct_rejected_{code}" for code in REASONS["Bank accounts"]}
    tried |= {f"{kind}_{wire}" for kind in ("tok", "acct") for wire in WIRES}
    tried |= {"tok_disputed", "tok_dispute_won", "tok_dispute_lost", "tok_capture_refused"}
    tried |= {"tok_refund_pending", "tok_refund_declined", "tok_refund_fails"}
    assert {*TOKENS, *ACCOUNTS} == tried


@pytest.mark.parametrize(("approve", "status"), [(True, "approved"), (False, "declined")])
async def test_a_payer_acts(play: Play, approve: bool, status: str) -> None:  # noqa: FBT001
    """A charge that needs the payer is decided by what the payer does, once."""
    charge = await play.charge("tok_action")
    path = f"/v1/charges/{charge['id']}/act"
    assert (await play.do(path, approve=approve))["status"] == status
    assert (await play.send("POST", path, {})).json()["error"]["code"] == "too_late"


@pytest.mark.parametrize(("pressed", "status"), [("yes", "approved"), ("no", "declined")])
async def test_a_person_acts_on_a_page(play: Play, pressed: str, status: str) -> None:
    """The URL of the action is a page with two buttons, and each does what it says."""
    charge = await play.charge("tok_action", amount=12_34)
    url = charge["action"]["url"]
    page = await play.http.get(url, headers={"Authorization": ""})
    assert "12.34 EUR" in page.text
    assert page.text.count("<button") == 2
    await play.http.post(url, data={"approve": pressed}, headers={"Authorization": ""})
    assert (await play.read(f"/v1/charges/{charge['id']}"))["status"] == status
    assert "<button" not in (await play.http.get(url)).text


async def test_a_payer_who_does_nothing_is_gone(play: Play) -> None:
    """An action that nobody takes is declined after an hour."""
    charge = await play.charge("tok_action")
    await play.advance(3_600)
    told = await play.read(f"/v1/charges/{charge['id']}")
    assert (told["status"], told["reason"]["code"]) == ("declined", "action_expired")


async def test_an_authorisation_is_captured_once(play: Play) -> None:
    """A part can be captured, never more than was authorised, and never a second time."""
    charge = await play.charge(capture=False)
    assert charge["status"] == "authorised"
    path = f"/v1/charges/{charge['id']}/capture"
    more = await play.send("POST", path, {"amount": 10_01}, key=uuid4().hex)
    assert (more.status_code, more.json()["error"]["code"]) == (422, "amount_too_large")
    assert (await play.do(path, amount=6_00))["status"] == "approved"
    again = await play.send("POST", path, {"amount": 4_00}, key=uuid4().hex)
    assert again.json()["error"]["code"] == "not_authorised"
    assert (await play.read(f"/v1/charges/{charge['id']}"))["captured"] == 6_00


async def test_an_authorisation_ends(play: Play) -> None:
    """What is authorised is let go by a cancellation, by a refused capture not, by a week."""
    released, refused = (
        await play.charge(capture=False),
        await play.charge("tok_capture_refused", capture=False),
    )
    await play.do(f"/v1/charges/{released['id']}/cancel")
    path = f"/v1/charges/{refused['id']}"
    answer = await play.send("POST", f"{path}/capture", {}, key=uuid4().hex)
    assert answer.json()["error"]["code"] == "capture_refused"
    assert (await play.read(f"/v1/charges/{released['id']}"))["status"] == "released"
    assert (await play.read(path))["status"] == "authorised"
    await play.advance(7 * 86_400)
    assert (await play.read(path))["status"] == "expired"


@pytest.mark.parametrize("magic", ["tok_pending_approved", "tok_action", "acct_pending_paid"])
async def test_what_is_cancelled_never_happens(play: Play, magic: str) -> None:
    """What is undecided can be cancelled, and is not decided any more."""
    path, body = ask_for(magic)
    made = await play.do(path, **body)
    await play.do(f"{path}/{made['id']}/cancel")
    await play.advance(3_600)
    assert (await play.read(f"{path}/{made['id']}"))["status"] == "cancelled"
    assert await play.count(made["key"]) == {}


@pytest.mark.parametrize("magic", ["tok_approved", "acct_paid"])
async def test_what_is_done_is_not_cancelled(play: Play, magic: str) -> None:
    """A cancellation of what was done is refused."""
    path, body = ask_for(magic)
    made = await play.do(path, **body)
    answer = await play.send("POST", f"{path}/{made['id']}/cancel", {}, key=uuid4().hex)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_late")


async def test_refunds_add_up_to_the_charge(play: Play) -> None:
    """A charge is refunded in parts, to the last unit and not beyond; pending parts count."""
    charge = await play.charge("tok_refund_pending")
    await play.do("/v1/refunds", charge=charge["id"], amount=3_00)
    more = await play.send(
        "POST", "/v1/refunds", {"charge": charge["id"], "amount": 7_01}, key=uuid4().hex
    )
    assert more.json()["error"]["code"] == "amount_too_large"
    rest = await play.do("/v1/refunds", charge=charge["id"])
    assert (rest["amount"], rest["status"]) == (7_00, "pending")
    await play.advance(10)
    assert (await play.read(f"/v1/refunds/{rest['id']}"))["status"] == "approved"


async def test_a_refund_that_fails_can_be_made_again(play: Play) -> None:
    """What a failed or declined refund gave back is there to be refunded."""
    fails, declines = (
        await play.charge("tok_refund_fails"),
        await play.charge("tok_refund_declined"),
    )
    refund = await play.do("/v1/refunds", charge=fails["id"])
    assert refund["status"] == "approved"
    await play.advance(10)
    assert (await play.read(f"/v1/refunds/{refund['id']}"))["status"] == "failed"
    body = {"charge": declines["id"]}
    assert (await play.send("POST", "/v1/refunds", body, key=uuid4().hex)).status_code == 402
    for charge in (fails, declines):
        assert (await play.read(f"/v1/charges/{charge['id']}"))["refunded"] == 0


@pytest.mark.parametrize(
    ("token", "status", "disputed"),
    [
        ("tok_disputed", "opened", 10_00),
        ("tok_dispute_lost", "lost", 10_00),
        ("tok_dispute_won", "won", 0),
    ],
)
async def test_a_dispute_takes_its_course(
    play: Play, token: str, status: str, disputed: int
) -> None:
    """A disputed charge is taken back when the dispute is opened, and given back when it is won."""
    charge = await play.charge(token)
    await play.advance(20)
    [dispute] = (await play.read("/v1/disputes", about=charge["id"]))["data"]
    assert (dispute["status"], dispute["amount"]) == ("opened", 10_00)
    await play.advance(20)
    assert (await play.read(f"/v1/disputes/{dispute['id']}"))["status"] == status
    assert (await play.read(f"/v1/charges/{charge['id']}"))["disputed"] == disputed


async def test_a_dispute_by_hand(play: Play) -> None:
    """A test can dispute a part of any charge, and close the dispute, once."""
    charge = await play.charge()
    dispute = await play.do("/v1/disputes", charge=charge["id"], amount=4_00)
    refund = await play.do("/v1/refunds", charge=charge["id"])
    assert refund["amount"] == 6_00
    path = f"/v1/disputes/{dispute['id']}/close"
    assert (await play.do(path, outcome="won"))["status"] == "won"
    assert (await play.send("POST", path, {"outcome": "lost"})).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/charges", {**card(), "amount": 0}, "invalid_request"),
        ("/v1/charges", {**card(), "amount": 1.5}, "invalid_request"),
        ("/v1/charges", {**card(), "amount": 2**63}, "invalid_request"),
        ("/v1/charges", {**card(), "currency": "XYZ"}, "invalid_request"),
        ("/v1/charges", {**card(), "surprise": 1}, "invalid_request"),
        ("/v1/charges", card("tok_unheard_of"), "unknown_magic"),
        ("/v1/charges", card(webhooks="shouted"), "unknown_magic"),
        ("/v1/charges", card(wires={"charge": "crossed"}), "unknown_magic"),
        ("/v1/payouts", to_account("acct_unheard_of"), "unknown_magic"),
        ("/v1/refunds", {"charge": "ch_unheard_of"}, "not_found"),
        ("/v1/charges/ch_unheard_of/capture", {}, "not_found"),
        ("/v1/nothing", {}, "not_found"),
        ("/v1/statement", {}, "method_not_allowed"),
    ],
)
async def test_nonsense_is_refused(play: Play, path: str, body: Any, code: str) -> None:  # noqa: ANN401
    """What cannot be meant is refused in the one shape, and nothing is done."""
    key = uuid4().hex
    answer = await play.send("POST", path, body, key=key)
    assert answer.json()["error"].keys() == {"type", "code", "message", "permanent"}
    assert answer.json()["error"]["code"] == code
    assert 400 <= answer.status_code < 500
    assert await play.count(key) == {}


async def test_who_looks_in_is_told_what_it_is(play: Play) -> None:
    """Without its key: a page for people, and all that it can do, as the reference has it."""
    front, reference = [
        await play.http.get(path, headers={"Authorization": ""}) for path in ("/", "/reference")
    ]
    assert (front.status_code, front.headers["content-type"][:9]) == (200, "text/html")
    assert "sandbox gateway" in front.text
    assert 'href="/reference"' in front.text
    assert reference.text == (REPO / "docs" / "reference" / "sandbox.md").read_text("utf-8")


async def test_strangers_are_refused(play: Play) -> None:
    """Without its key nothing else can be read, and nothing done."""
    for header in ("", "Bearer sbx_wrong"):
        answer = await play.http.get("/v1/charges", headers={"Authorization": header})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")
