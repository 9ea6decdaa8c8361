"""Definitions: as JSON and back, groups laid flat, and which accounts and entries they name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catena.chains.definition import (
    Claim,
    Definition,
    Family,
    Need,
    Retry,
    Step,
    describe_definition,
    describe_step,
    flatten,
    read_definition,
    read_step,
)
from catena.chains.needs import (
    named_accounts,
    named_entries,
    references_of,
    system_accounts,
    wanted_accounts,
)
from catena.chains.step_types import Answer, Outcome
from catena.ledger.accounts import SystemRole, system_account_id
from tests.chains.books import LEDGER
from tests.chains.shapes import CATALOGUE, A, B, call, needs, reserve, transfer
from tests.chains.story import Story

WHOLE = Step(
    "pay",
    "call",
    {"amount": 1},
    (Need("one"), Need("two", accepted=True)),
    ("1 < 2",),
    Retry(3, 2.0, 9.0, frozenset({"b", "a"})),
    5.0,
    goes_on=True,
    compensation={"undo": True},
    pivot=True,
)


@pytest.mark.parametrize("step", [WHOLE, Step("wait", "wait", {})])
def test_a_step_is_read_as_it_was_described(step: Step) -> None:
    """What is not set is not there."""
    assert read_step(describe_step(step)) == step
    assert len(describe_step(Step("wait", "wait", {}))) == 2


def test_a_definition_is_read_as_it_was_described() -> None:
    """But for its steps, which are read apart."""
    whole = Definition((WHOLE,), "order", "r-1", "words", {"k": 1}, 60.0, open=True)
    whole = replace(whole, claim=Claim("deposit", "r-1", "2" * 32))
    row = describe_definition(whole)
    assert read_definition(row) == Definition((), *[getattr(whole, n) for n in whole.__slots__[1:]])
    assert [read_step(step) for step in row["steps"]] == [WHOLE]


def test_backoff_doubles_up_to_its_cap() -> None:
    """However many attempts there are."""
    retry = Retry(9999, first_seconds=1, cap_seconds=60)
    assert [retry.longest_wait(n) for n in (1, 2, 3, 7, 9999)] == [1, 2, 4, 60, 60]


@pytest.mark.parametrize(
    ("type", "family"),
    [
        ("transfer", Family.LEDGER),
        ("lien.extend", Family.LIEN),
        ("wait", Family.WAIT),
        ("chain", Family.GROUP),
        ("http", Family.OUTSIDE),
    ],
)
def test_each_type_has_a_family(type: str, family: Family) -> None:
    """Every type that is not built in calls somebody."""
    assert Step("step", type, {}).family is family


def test_a_group_is_laid_flat() -> None:
    """Its first steps wait for what it waits for, its conditions are theirs, its liens too."""
    group = Step("pay", "chain", {}, needs("before"), ("1 < 2",))
    members = [
        reserve("hold", A, 2),
        transfer("move", A, B, 2, "hold", "outside", inputs={"lien": "hold"}),
        transfer("more", A, B, 2, inputs={"lien": "elsewhere"}),
    ]
    hold, move, more, whole = flatten(group, members)
    assert (hold.name, hold.needs, hold.when) == ("pay.hold", needs("before"), ("1 < 2",))
    assert (move.needs, move.inputs["lien"]) == (needs("pay.hold", "outside"), "pay.hold")
    assert (more.needs, more.inputs["lien"]) == (needs("before"), "elsewhere")
    assert (whole.name, whole.needs) == ("pay", needs("pay.hold", "pay.move", "pay.more"))


def test_the_accounts_that_steps_name() -> None:
    """As far as they are constants, of lines and fees too."""
    third, fourth = "acct_" + "c" * 32, "acct_" + "d" * 32
    lines = [{"account_id": third}, "no line", {"account_id": {"cel": "1"}}]
    steps = [
        transfer("pay", A, B, 1, inputs={"fees": [{"account_id": fourth}]}),
        Step("entry", "entry", {"lines": lines}),
        Step("all", "entry", {"lines": {"cel": "[]"}}),
        call("call", inputs={"account_id": third}),
        Step("back", "reversal", {"entry_id": "ent_1"}),
        Step("part", "refund", {"entry_id": "ent_2", "amount": 1}),
    ]
    assert list(named_accounts(steps)) == [A, B, fourth, third]
    assert list(named_entries(steps)) == ["ent_1", "ent_2"]


def test_the_system_accounts_that_steps_post_to() -> None:
    """Clearing, fees and exchange, by their currencies."""

    def id(role: SystemRole, code: str = "USD") -> str:
        return system_account_id(LEDGER, role, code)

    exchange = {"source_currency": "USD", "destination_currency": "EUR"}
    steps = [
        Step("in", "deposit", {"currency": "USD", "fees": [{}]}),
        Step("out", "withdrawal", {"currency": "USD", "through": "holding"}),
        Step("fee", "fee", {"currency": "USD"}),
        Step("own", "fee", {"currency": "USD", "fee_account_id": A}),
        transfer("paid", A, B, 1, inputs={"fees": [{"account_id": A}]}),
        Step("change", "exchange", exchange),
        Step("half", "exchange", {"source_currency": "USD"}),
        Step("wait", "wait", {}),
        transfer("pay", A, B, 1),
        Step(
            "book", "entry", {"lines": [{"role": "losses", "currency": "EUR"}, {"currency": "X"}]}
        ),
        Step("all", "entry", {"lines": {"cel": "[]"}}),
    ]
    assert list(system_accounts(steps, LEDGER)) == [
        id(SystemRole.CLEARING),
        id(SystemRole.FEES),
        id(SystemRole.HOLDING),
        id(SystemRole.FEES),
        id(SystemRole.FX),
        id(SystemRole.FX, "EUR"),
        id(SystemRole.FX),
        id(SystemRole.LOSSES, "EUR"),
    ]


def test_the_accounts_that_a_chain_may_need_next() -> None:
    """Those of its liens, and those that expressions give once they can be evaluated."""
    other = {"cel": f"'{B}'"}
    story = Story(
        reserve("hold", A, 1),
        Step("wait", "wait", {}),
        transfer("now", A, other, 1, "hold", inputs={"amount": {"cel": "99"}}, retry=WHOLE.retry),
        transfer("later", A, {"cel": "steps.wait.payload"}, 1, "wait"),
        open=True,
    )
    assert wanted_accounts(story.chain, LEDGER, CATALOGUE) == {A}
    from catena.chains import machine  # noqa: PLC0415

    story.do(machine.start)
    assert story.states() == {
        "hold": "completed",
        "wait": "waiting",
        "now": "pending",
        "later": "pending",
    }
    assert wanted_accounts(story.chain, LEDGER, CATALOGUE) == {A, B}
    broken = Story(Step("sum", "entry", {"lines": {"cel": "[1 / 0]"}}), open=True)
    assert wanted_accounts(broken.chain, LEDGER, CATALOGUE) == set()


def test_what_gateways_call_what_steps_have_asked() -> None:
    """Where the step names its gateway, and the gateway has named it."""
    story = Story(call("one", inputs={"gateway": "sandbox"}), call("two"), check=False)
    assert references_of(story.chain) == set()
    for name in ("one", "two"):
        story.call(name, Answer(Outcome.APPROVED, {"reference": f"ch_{name}"}))
    assert references_of(story.chain) == {("sandbox", "ch_one", "one")}
