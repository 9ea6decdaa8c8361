"""Chains whose steps call a partner over HTTP, run by a worker: every kind of answer."""

from __future__ import annotations

import datetime as dt
import json
from functools import partial
from typing import Any

import pytest

from catena.chains.definition import Need, Retry, Step
from catena.chains.history import Failure
from catena.chains.operator import retry
from catena.chains.states import ChainState, StepState
from catena.chains.step_types import Answer, Call, Direction, Outcome
from catena.clock import system_clock
from catena.db.installation import read_secret
from catena.db.verify import verify
from catena.engine.http_step import HttpStep
from catena.outside import signing
from catena.outside.client import OutsideClient
from catena.outside.signing import SIGNING, derive_secret
from catena.settings import Settings
from tests.engine.partners import Partner, run_partner
from tests.engine.running import World, run_world
from tests.postgres import Database
from tests.tidy.rules import REPO
from tests.walkthrough import list_blocks

EAGER = Retry(3, first_seconds=0.01, cap_seconds=0.05)

NO_WORDS: list[Any] = ["failed", "REJECTED", "error", "processing", "", None, True, 200, {}]


def call(partner: Partner, name: str, *needs: str, **told: Any) -> Step:  # noqa: ANN401
    """A step that calls the partner at a path of its name, and undoes it at another."""
    return Step(
        name,
        "http",
        {"url": f"{partner.url}/{name}", "body": {"order": 7}},
        tuple(map(Need, needs)),
        **{"compensation": {"url": f"{partner.url}/undo_{name}"}, **told},
    )


def transfer(name: str, source: str, target: str, amount: object, *needs: str) -> Step:
    """A step that moves dollars."""
    inputs = {
        "source_account_id": source,
        "destination_account_id": target,
        "amount": amount,
        "currency": "USD",
    }
    return Step(name, "transfer", inputs, tuple(map(Need, needs)))


async def prove(world: World) -> None:
    """The books are proven."""
    async with world.app.pool.acquire() as connection:
        assert await verify(connection, world.scribe.ledger) == []


async def open_wallets(world: World, *funds: int) -> list[str]:
    """Wallets with so much in them."""
    accounts = [await world.scribe.open() for _ in funds]
    for account, amount in zip(accounts, funds, strict=True):
        if amount:
            await world.scribe.post(world.scribe.deposit(account, amount))
    return accounts


async def test_an_approval_goes_on_with_what_it_said(database: Database) -> None:
    """The call is signed and carries its key; what the partner answers is paid out in the same
    commit that records the answer.
    """
    async with (
        run_partner(charge=[{"status": "approved", "fee": 30}]) as partner,
        run_world(database) as world,
    ):
        a, b = await open_wallets(world, 1000, 0)
        chain = await world.scribe.chain(
            transfer("pay", a, b, 400),
            call(partner, "charge", "pay"),
            transfer("fee", b, a, {"cel": "steps.charge.body.fee"}, "charge"),
        )
        assert chain.state is ChainState.EXECUTING
        ended = await world.ended(chain.id)
        assert ended.state is ChainState.COMPLETED, ended.failure
        assert ended.steps["fee"].result["amount"] == 30
        (heard,) = partner.heard
        assert heard.headers["idempotency-key"] == f"{chain.id}.charge.forward.1"
        async with world.app.pool.acquire() as connection:
            secret = derive_secret(await read_secret(connection, SIGNING), world.scribe.ledger.id)
        now, tolerance = system_clock(), dt.timedelta(minutes=5)
        assert signing.verify(secret, heard.headers, heard.content, now, tolerance)
        assert not signing.verify(secret, heard.headers, heard.content + b" ", now, tolerance)
        assert heard.body == {"order": 7}
        await prove(world)


@pytest.mark.parametrize(
    ("words", "calls", "effects", "state"),
    [
        (["later", "later", "approve"], 3, 1, ChainState.COMPLETED),
        (["later"], 3, 0, ChainState.ROLLED_BACK),
        (["decline"], 1, 0, ChainState.ROLLED_BACK),
        (["deaf", "approve"], 2, 1, ChainState.COMPLETED),
        (["lost"], 2, 1, ChainState.COMPLETED),
        (["pend", "approve"], 2, 1, ChainState.COMPLETED),
        (["pend", "decline"], 2, 0, ChainState.ROLLED_BACK),
    ],
)
async def test_every_answer_has_its_end(
    database: Database, words: list[Any], calls: int, effects: int, state: ChainState
) -> None:
    """Whatever the partner says or does not say, it acts once at most, and the books agree."""
    async with run_partner(charge=words) as partner, run_world(database) as world:
        a, b = await open_wallets(world, 1000, 0)
        chain = await world.scribe.chain(
            transfer("pay", a, b, 400), call(partner, "charge", "pay", retry=EAGER)
        )
        ended = await world.ended(chain.id)
        assert ended.state is state
        assert len(partner.heard) == calls
        assert partner.effects("/charge") == effects
        await prove(world)


@pytest.mark.parametrize("words", [["approve"], ["lost"], ["later", "approve"]])
async def test_what_was_done_is_undone(database: Database, words: list[Any]) -> None:
    """A late failure has the partner undo its part, once, however the undo is answered."""
    async with run_partner(undo_charge=words) as partner, run_world(database) as world:
        chain = await fail_late(world, partner)
        ended = await world.ended(chain)
        assert ended.state is ChainState.ROLLED_BACK
        assert ended.failure is not None
        assert ended.failure.code == "insufficient_funds"
        assert ended.steps["charge"].state is StepState.COMPENSATED
        assert partner.effects("/undo_charge") == 1
        await prove(world)


async def test_an_undo_names_what_the_partner_gave(database: Database) -> None:
    """Its URL and its body are computed from the answer, and checked like any other."""
    async with run_partner(charge=[{"id": "p7"}]) as partner, run_world(database) as world:
        undo = {
            "url": {"cel": f"'{partner.url}/charge/' + steps.charge.body.id"},
            "method": "DELETE",
            "body": {"payout": {"cel": "steps.charge.body.id"}},
        }
        ended = await world.ended(await fail_late(world, partner, compensation=undo))
        assert ended.state is ChainState.ROLLED_BACK
        (heard,) = [heard for heard in partner.heard if heard.method == "DELETE"]
        assert (heard.path, heard.body) == ("/charge/p7", {"payout": "p7"})
        await prove(world)


@pytest.mark.parametrize(("word", "effects"), [("approve", 1), ("decline", 0)])
async def test_a_partner_that_cannot_give_up_is_asked_until_it_decides(
    database: Database, word: str, effects: int
) -> None:
    """A chain that fails while its partner is undecided waits for the decision, and undoes it."""
    async with run_partner(charge=["pend", "pend", word]) as partner, run_world(database) as world:
        a, b = await open_wallets(world, 1000, 0)
        chain = await world.scribe.chain(
            transfer("pay", a, b, 400), call(partner, "charge", "pay", timeout_seconds=0.2)
        )
        ended = await world.ended(chain.id)
        assert ended.state is ChainState.ROLLED_BACK
        assert ended.failure is not None
        assert ended.failure.code == "step_timed_out"
        assert partner.effects("/charge") == partner.effects("/undo_charge") == effects
        await prove(world)


async def test_a_refused_undo_waits_for_an_operator(database: Database) -> None:
    """The books are back at once; the partner's part is parked in sight until somebody retries."""
    async with (
        run_partner(undo_charge=["decline", "approve"]) as partner,
        run_world(database) as world,
    ):
        id = await fail_late(world, partner)
        parked = await world.until(id, lambda chain: any(chain.parked()))
        assert parked.state is ChainState.ROLLING_BACK
        assert parked.steps["pay"].state is StepState.COMPENSATED
        await prove(world)
        again = partial(retry, step="charge", why="the partner has mended it", by="ops")
        await world.scribe.run(id, again)
        ended = await world.ended(id)
        assert ended.state is ChainState.ROLLED_BACK
        assert partner.effects("/undo_charge") == 1
        await prove(world)


async def fail_late(world: World, partner: Partner, **told: Any) -> str:  # noqa: ANN401
    """A chain that fails behind its call; gives its id."""
    a, b = await open_wallets(world, 1000, 0)
    chain = await world.scribe.chain(
        transfer("pay", a, b, 400),
        call(partner, "charge", "pay", **told),
        transfer("more", a, b, 5000, "charge"),
    )
    return chain.id


async def ask(partner: Partner, path: str, **told: Any) -> Answer:  # noqa: ANN401
    """What the step makes of the partner's answer at a path."""
    settings = Settings(allow_private_addresses=True)
    inputs = {"url": f"{partner.url}/{path}"}
    deadline = system_clock() + dt.timedelta(seconds=10)
    asked = Call(
        *("ldg_1", "cte_1", "pay", "http", Direction.FORWARD, "cte_1.pay.forward.1", 1),
        *(inputs, None, {}, deadline, 10.0, system_clock()),
    )
    async with OutsideClient(settings) as client:
        step = HttpStep(client, lambda ledger: ledger.encode().ljust(32), system_clock)
        return await step.call(asked._replace(**told))


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (200, b"", Outcome.APPROVED, ""),
        (204, b"", Outcome.APPROVED, ""),
        (200, b"{}", Outcome.APPROVED, ""),
        (201, b'{"id": 7}', Outcome.APPROVED, ""),
        (200, b'{"status": "Approved"}', Outcome.APPROVED, ""),
        (202, b'{"status": "APPROVED"}', Outcome.APPROVED, ""),
        (200, b'{"status": "DECLINED"}', Outcome.DECLINED, "declined"),
        (202, b'{"status": "Declined"}', Outcome.DECLINED, "declined"),
        (200, b'{"status": "Pending"}', Outcome.PENDING, ""),
        (202, b"", Outcome.PENDING, ""),
        (202, b"Taken.", Outcome.PENDING, ""),
        *(
            (status, json.dumps({"status": word}).encode(), Outcome.UNKNOWN, "status_unrecognised")
            for status in (200, 202)
            for word in NO_WORDS
        ),
        (200, b"OK", Outcome.UNKNOWN, "answer_unreadable"),
        (200, b"<html>We are back soon</html>", Outcome.UNKNOWN, "answer_unreadable"),
        (200, b'["approved"]', Outcome.UNKNOWN, "answer_unreadable"),
        (200, b'"approved"', Outcome.UNKNOWN, "answer_unreadable"),
        (
            200,
            b'{"status": "declined", "x": "' + b"x" * 70_000 + b'"}',
            Outcome.DECLINED,
            "declined",
        ),
        (200, b'{"status": "declined", "x": "\\u0000"}', Outcome.DECLINED, "declined"),
        (302, b'{"status": "approved"}', Outcome.UNKNOWN, "http_302"),
        (500, b'{"status": "approved"}', Outcome.UNKNOWN, "http_500"),
    ],
)
async def test_nothing_is_approved_but_what_says_so(
    status: int, body: bytes, outcome: Outcome, code: str
) -> None:
    """A success without a word, or with the word: any other word, or a page, leaves it open."""
    async with run_partner(pay=[(status, body)]) as partner:
        answer = await ask(partner, "pay")
    assert (answer.outcome, answer.code) == (outcome, code)


@pytest.mark.parametrize(
    ("status", "body", "code", "detail"),
    [
        (422, {"error": "no"}, "http_422", "no"),
        (200, {"status": "declined", "reason": "closed"}, "declined", "closed"),
        (422, {"code": "AC04", "message": "Closed account"}, "ac04", "Closed account"),
        (402, {"error": {"code": "card_declined", "message": "No."}}, "card_declined", "No."),
        (400, {"code": "Not a code!", "detail": "x"}, "http_400", "x"),
        (400, {"code": "x" * 81, "reason": ""}, "http_400", ""),
        (400, {"code": 7, "message": {"a": 1}, "error": "why"}, "http_400", "why"),
        (400, {"reason": "a\r\n\x00\u202eb " + "c" * 500}, "http_400", "a b " + "c" * 196),
        (500, {"message": "down"}, "http_500", "down"),
        (200, {"status": "Rejected"}, "status_unrecognised", "Rejected"),
        (422, {"message": "no such token: s3cret"}, "http_422", ""),
        (400, [1], "http_400", ""),
    ],
)
async def test_a_reason_is_kept_and_bounded(
    status: int, body: object, code: str, detail: str
) -> None:
    """A code that looks like one, and a line of text; never what our URL may hide."""
    words = {"pay?s3cret": [(status, json.dumps(body).encode())]}
    async with run_partner(**words) as partner:
        answer = await ask(partner, "pay?s3cret")
    assert (answer.code, answer.detail) == (code, detail)


@pytest.mark.parametrize("direction", [Direction.LOOK_UP, Direction.CANCEL])
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (401, b'{"code": "bad_key"}', Outcome.UNKNOWN),
        (429, b'{"code": "slow_down"}', Outcome.UNKNOWN),
        (409, b'{"code": "in_progress"}', Outcome.UNKNOWN),
        (422, b'{"code": "no_funds"}', Outcome.DECLINED),
        (200, b'{"status": "declined", "code": "closed"}', Outcome.DECLINED),
    ],
)
async def test_a_refused_question_tells_nothing_of_the_call(
    status: int, body: bytes, outcome: Outcome, direction: Direction
) -> None:
    """Whatever code its body says: only what speaks of the call is a refusal of it."""
    async with run_partner(pay=[(status, body)]) as partner:
        answer = await ask(partner, "pay", direction=direction)
    assert answer.outcome is outcome
    assert answer.code == json.loads(body)["code"]


@pytest.mark.parametrize(
    ("repeats", "outcome"), [(False, Outcome.DECLINED), (True, Outcome.UNKNOWN)]
)
async def test_a_conflict_over_a_key_that_was_sent_is_no_refusal(
    repeats: bool,  # noqa: FBT001  # of the table
    outcome: Outcome,
) -> None:
    """The request that came first may still be at work; where none did, it is the partner's no."""
    async with run_partner(pay=[(409, b'{"code": "in_progress"}')]) as partner:
        answer = await ask(partner, "pay", repeats=repeats)
    assert (answer.outcome, answer.code) == (outcome, "in_progress")


async def test_a_url_of_its_own_does_not_know_a_key_that_never_came() -> None:
    """A 404 there is an answer, with whatever code it is told."""
    async with run_partner(look=[(404, b'{"code": "no_such_key"}')]) as partner:
        inputs = {"url": f"{partner.url}/pay", "look_up_url": f"{partner.url}/look"}
        answer = await ask(partner, "pay", direction=Direction.LOOK_UP, inputs=inputs)
    assert answer.outcome is Outcome.NOT_FOUND


async def test_the_reason_is_in_sight(database: Database) -> None:
    """Step, chain and history say what the partner said."""
    words = (422, b'{"code": "AC04", "reason": "The account is closed."}')
    async with run_partner(charge=[words]) as partner, run_world(database) as world:
        chain = await world.scribe.chain(call(partner, "charge"))
        ended = await world.ended(chain.id)
    told = {"code": "ac04", "detail": "The account is closed."}
    failed = Failure("ac04", "The account is closed.", "charge")
    assert ended.failure == failed
    assert ended.steps["charge"].failure == failed._replace(step=None)
    events = [event for record in ended.history for event in record.events]
    assert [event.data for event in events if event.to == StepState.FAILED and event.step] == [told]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"id": 7, "rate": 0.25}', {"id": 7, "rate": "0.25"}),
        (b'{"id": "' + b"x" * 70_000 + b'"}', None),
        (b'{"id": "\\u0000"}', None),
        (b'{"id": "\\ud800"}', None),
    ],
)
async def test_a_chain_keeps_what_can_be_kept(body: bytes, kept: object) -> None:
    """An approval whose body is too large, or no text that a database has, is one without it."""
    async with run_partner(pay=[(200, body)]) as partner:
        answer = await ask(partner, "pay")
    assert (answer.outcome, answer.result) == (Outcome.APPROVED, {"status": 200, "body": kept})


async def test_an_unknown_word_moves_nothing(database: Database) -> None:
    """The step is unknown and says why; what depends on it waits until a person decides."""
    async with (
        run_partner(charge=[{"status": "failed"}]) as partner,
        run_world(database) as world,
    ):
        a, b = await open_wallets(world, 1000, 0)
        chain = await world.scribe.chain(
            call(partner, "charge"), transfer("pay", a, b, 400, "charge")
        )
        seen = await world.until(chain.id, lambda it: it.steps["charge"].tries > 0)
        assert seen.state is ChainState.EXECUTING
        assert seen.steps["charge"].state is StepState.UNKNOWN
        assert seen.steps["charge"].failure is not None
        assert seen.steps["charge"].failure.code == "status_unrecognised"
        assert seen.steps["pay"].state is StepState.PENDING
        await prove(world)


async def test_a_signature_is_verified_as_the_guide_says() -> None:
    """What the page shows takes a call and a look-up of ours, and nothing that was changed."""
    page = REPO / "docs" / "guides" / "partners.md"
    (code,) = [block.text for block in list_blocks(page) if block.language == "python"]
    known: dict[str, Any] = {}
    exec(code, known)  # noqa: S102  # a page of ours
    async with run_partner() as partner:
        inputs = {
            "url": f"{partner.url}/pay",
            "look_up_url": f"{partner.url}/look",
            "body": {"a": 1},
        }
        for direction in (Direction.FORWARD, Direction.LOOK_UP):
            await ask(partner, "pay", direction=direction, inputs=inputs)
    secret = signing.format_secret(b"ldg_1".ljust(32))
    assert [bool(heard.content) for heard in partner.heard] == [True, False]
    for heard in partner.heard:
        assert known["verify"](secret, heard.headers, heard.content)
        assert not known["verify"](secret, heard.headers, heard.content + b" ")
        old = {**heard.headers, "webhook-timestamp": "1"}
        assert not known["verify"](secret, old, heard.content)
