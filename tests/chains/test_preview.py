"""Chains played dry: what each step would leave, what would be refused, and nothing written."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import Any

from catena.chains.definition import Definition, Retry, Step
from catena.chains.preview import DryBooks, Played, play
from catena.ledger.accounts import Account, Side
from catena.ledger.corrections import Correction
from catena.ledger.entries import Entry, EntryType, Line
from tests.chains.books import LEDGER, NOW, wallet
from tests.chains.shapes import CATALOGUE, A, B, ask, call, needs, reserve, say, transfer

ID = "cte_" + "c" * 32
DEPOSIT = Entry(
    "ent_1",
    1,
    EntryType.DEPOSIT,
    [Line(B, Side.DEBIT, 2, "USD"), Line(A, Side.CREDIT, 2, "USD")],
    NOW,
    NOW,
)


def _play(
    *steps: Step,
    assume: Mapping[str, Mapping[str, Any]] | None = None,
    entries: Mapping[str, Entry] | None = None,
) -> Played:
    accounts: dict[str, Account] = {A: wallet(A, 10), B: wallet(B, 2)}
    before = {id: copy(account) for id, account in accounts.items()}
    corrections = {id: Correction(id) for id in entries or {}}
    books = partial(DryBooks, (LEDGER, {}, CATALOGUE, NOW), accounts, entries, corrections)
    played = play(ID, Definition(steps), books, assume or {})
    for id, account in accounts.items():
        assert (account.posted, account.reserved) == (before[id].posted, before[id].reserved)
    assert all(not correction.changed for correction in corrections.values())
    return played


def _states(played: Played) -> dict[str, str]:
    return {name: str(run.state) for name, run in played.chain.steps.items()}


def test_what_each_step_leaves() -> None:
    """Of every account with a floor that it touched: the balances, and what the chain may spend."""
    played = _play(reserve("hold", A, 4), transfer("pay", A, B, 4, "hold"))
    assert played.chain.state == "completed"
    assert [tuple(one[2:]) for one in played.standings["hold"]] == [(10, 4, 6, 4, 10)]
    assert {one.account: tuple(one[2:]) for one in played.standings["pay"]} == {
        A: (6, 0, 6, 0, 6),
        B: (6, 4, 2, 4, 6),
    }


def test_partners_approve_and_waits_end() -> None:
    """With the results that are assumed of them."""
    played = _play(
        ask("ask"),
        Step("wait", "wait", {}, needs("ask")),
        transfer("pay", A, B, {"cel": "steps.ask.amount + steps.wait.payload"}, "wait"),
        Step("fee", "fee", {"account_id": A, "amount": 1, "currency": "USD"}, needs("pay")),
        Step("more", "fee", {"account_id": A, "amount": 1, "currency": "USD"}, needs("fee")),
        assume={"ask": {"amount": 1}, "wait": {"payload": 2}},
    )
    assert played.chain.state == "completed"
    assert [one.posted for one in played.standings["pay"]] == [7, 5]
    assert [one.account for one in played.standings["fee"]] == [A]


def test_what_nobody_assumed_is_unknown_and_no_refusal() -> None:
    """The step that needs it is left out with those behind it; the others are played."""
    played = _play(
        ask("ask"),
        transfer("pay", A, B, {"cel": "steps.ask.amount"}, "ask"),
        transfer("again", A, B, {"cel": "steps.ask.amount * 2"}, "ask"),
        transfer("behind", A, B, 1, "pay"),
        transfer("beside", A, B, 1),
    )
    assert played.unknown == dict.fromkeys(("pay", "again", "behind"), "ask")
    assert _states(played) == {"ask": "completed", "beside": "completed"}
    said = _play(
        ask("ask"),
        transfer("pay", A, B, {"cel": "steps.ask.amount.more"}, "ask"),
        assume={"ask": {"amount": {}}},
    )
    assert (said.unknown, _states(said)["pay"]) == ({}, "failed")


def test_spaces_hide_no_name() -> None:
    """Who names a result is asked of the compiler, and not of the text's looks."""
    amount = {"cel": "steps . ask . amount"}
    played = _play(ask("ask"), transfer("pay", A, B, amount, "ask"))
    assert played.unknown == {"pay": "ask"}


def test_what_would_be_refused() -> None:
    """The chain is rolled back dry, with its outside steps; another attempt is not tried."""
    played = _play(
        transfer("pay", A, B, 4), call("call", "pay"), transfer("more", A, B, 99, "call")
    )
    assert played.chain.state == "rolled_back"
    assert _states(played) == {"pay": "compensated", "call": "compensated", "more": "failed"}


def test_what_would_be_tried_again_is_refused_at_once() -> None:
    """Another attempt would find the same books."""
    played = _play(transfer("pay", A, B, 11, retry=Retry(5)))
    assert played.chain.state == "rolled_back"
    assert _states(played) == {"pay": "failed"}


def test_an_expression_that_comes_to_nothing() -> None:
    """Of an outside step, before its pivot and past it."""
    body = {"body": {"cel": "1 / 0"}}
    played = _play(call("call", inputs=body))
    assert played.chain.failure is not None
    assert played.chain.failure.code == "expression_failed"
    played = _play(call("pivot", pivot=True), call("call", "pivot", inputs=body))
    assert [run.name for run in played.chain.parked()] == ["call"]


def test_accounts_that_nobody_has_read() -> None:
    """They are named, so that the play can be repeated with them."""
    other = "acct_" + "e" * 32
    played = _play(transfer("pay", A, {"cel": f"'{other}'"}, 1), reserve("hold", other, 1))
    assert played.missing == {other}


def test_a_reversal_is_played_with_what_it_corrects() -> None:
    """Once: a second one finds the first in force; one of nothing finds no entry."""
    back = Step("back", "reversal", {"entry_id": "ent_1"})
    played = _play(back, entries={"ent_1": DEPOSIT})
    assert played.chain.state == "completed"
    assert {one.account: one.posted for one in played.standings["back"]} == {A: 8, B: 4}
    again = Step("again", "reversal", {"entry_id": "ent_1"}, needs("back"))
    played = _play(back, again, entries={"ent_1": DEPOSIT})
    assert played.chain.failure is not None
    assert played.chain.failure.code == "already_reversed"
    played = _play(back)
    assert played.chain.failure is not None
    assert played.chain.failure.code == "unknown_entry"


def test_a_play_is_bounded() -> None:
    """It gives up where it stands, however much the chain would still do."""
    accounts = {A: wallet(A, 10), B: wallet(B)}
    books = partial(DryBooks, (LEDGER, {}, CATALOGUE, NOW), accounts)
    steps = [call("one"), call("two", "one")]
    played = play(ID, Definition(steps), books, {}, rounds=1)
    assert _states(played) == {"one": "completed", "two": "pending"}


def test_dry_books_copy_what_they_are_asked_for() -> None:
    """And nothing else; they bring no luck."""
    accounts = {A: wallet(A, 10), B: wallet(B)}
    books = DryBooks((LEDGER, {}, CATALOGUE, NOW), accounts)
    assert books.account(A) is not accounts[A]
    assert (list(books.accounts), len(books.accounts)) == ([A], 1)
    assert books.jitter() == 0.5


def test_an_undo_needs_no_result_that_nobody_assumed() -> None:
    """What it would say of a step that was never called is not asked."""
    played = _play(say("say", {"cel": "steps.say.body.id"}), transfer("pay", A, B, 11, "say"))
    assert played.chain.state == "rolled_back"
    assert played.chain.steps["say"].failure is None
