"""What entries mean: payouts that are booked, payouts that come back, and money that comes in."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.chains.step_types import Outcome
from catena.gateways.bank.bookings import Booking, StatementEnd, read_bookings
from catena.gateways.bank.camt import Statement
from catena.gateways.bank.reading import cut
from catena.gateways.contract import Notice, StatementLine, Subject
from tests.gateways.bank.bank_files import ACCOUNT, OURS, detail, entry, notification, statement

OTHER = "CT" + "B" * 32
FILE = "CF" + "A" * 26
AT = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)


def read(content: bytes) -> tuple[list[StatementLine], list[Notice], StatementEnd]:
    """The lines, the notices and the end of a file with one statement."""
    start, *bookings, end = read_bookings(cut(content))
    assert isinstance(start, Statement)
    assert isinstance(end, StatementEnd)
    found = [one for one in bookings if isinstance(one, Booking)]
    lines = [line for one in found for line in one.lines]
    return lines, [notice for one in found for notice in one.notices], end


def test_a_payout_is_booked() -> None:
    """A debit with an EndToEndId of ours approves the payout, by that name."""
    paid = entry("DBIT", "12.34", detail("DBIT", "12.34", end_to_end=OURS), ref="B1")
    (line,), (notice,), end = read(statement(paid))
    assert line[1:7] == (Subject.PAYOUT, -1234, 0, "EUR", OURS, AT)
    assert notice[:4] == (f"paid:{OURS}", Subject.PAYOUT, Outcome.APPROVED, AT)
    assert (notice.reference, notice.amount, notice.currency) == (OURS, 1234, "EUR")
    assert notice.details["bank_reference"] == "B1"
    assert (end.net, end.entries) == (-1234, 1)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (entry("CRDT", "12.00", detail("CRDT", "12.00", end_to_end=OURS, reason="AC04")), "AC04"),
        (entry("CRDT", "12.00", detail(end_to_end=OURS), sub="RRTN"), "returned"),
        (entry("CRDT", "12.00", detail(end_to_end=OURS), reversal="true"), "reversal"),
    ],
)
def test_a_payout_comes_back(given: str, code: str) -> None:
    """A return or a reversal declines the payout after all; what came back may be less."""
    (line,), (notice,), _ = read(statement(given))
    assert (line.subject, line.amount, line.reference) == (Subject.PAYOUT, 1200, OURS)
    assert (notice.id, notice.outcome, notice.code) == (f"returned:{OURS}", Outcome.DECLINED, code)
    assert (notice.amount, notice.details["moved"]) == (1200, True)
    assert notice.text != ""


def test_told_several_times_it_is_one() -> None:
    """A notification and the statement name a payout, and its return, by the same ids."""
    entries = (
        entry("DBIT", "12.00", detail(end_to_end=OURS), ref="B1"),
        entry("CRDT", "12.00", detail(end_to_end=OURS, reason="AC04"), ref="B2"),
    )
    early_lines, early, _ = read(notification(*entries))
    lines, late, _ = read(statement(*entries))
    assert [one.id for one in early] == [one.id for one in late]
    assert (early_lines, len(lines)) == ([], 2)


def test_money_comes_in() -> None:
    """A credit has all that an account can be found by, and people see no whole account number."""
    paid = entry(
        "CRDT",
        "50.00",
        detail(
            end_to_end="theirs",
            name="Ada L",
            iban="GB82WEST12345698765432",
            to="NL14V",
            text="w_123",
        ),
        ref="B1",
    )
    (line,), (notice,), _ = read(statement(paid))
    assert notice[:4] == (f"credit:{line.id}", Subject.CREDIT, Outcome.APPROVED, AT)
    assert notice.reference == line.reference == line.id
    assert notice.text == line.text == "Ada L, GB82 **** 5432: w_123"
    told = {
        "creditor_account": "NL14V",
        "debtor_iban": "GB82 **** 5432",
        "debtor_name": "Ada L",
        "end_to_end_id": "theirs",
        "remittance": ["w_123"],
        "references": [],
        "is_return": False,
        "account": ACCOUNT,
    }
    assert {name: notice.details[name] for name in told} == told


def test_a_credit_counts_once() -> None:
    """It is taken from statements alone, and keeps its name when the statement comes again."""
    paid = entry("CRDT", "50.00", detail(name="Ada"), ref="B1")
    assert read(notification(paid))[1] == []
    _, (first,), _ = read(statement(paid))
    _, (again,), _ = read(statement(paid, id="S9"))
    assert first.id == again.id


@pytest.mark.parametrize("ref", ["B1", None])
def test_equal_credits_are_not_one(ref: str | None) -> None:
    """The same amount from the same payer twice is twice the money, whatever its bank names it."""
    paid = entry("CRDT", "50.00", detail(name="Ada"), **({"ref": ref} if ref else {}))
    lines, notices, _ = read(statement(paid, paid))
    assert len({one.id for one in notices}) == len({one.id for one in lines}) == 2


def test_a_statement_that_is_called_as_last_years_tells_of_other_money() -> None:
    """Some banks number them anew each year, and give entries no names."""
    told = detail(name="Ada")
    ((first,), (again,)) = (
        read(statement(entry("CRDT", "50.00", told, booked=f"{year}-01-02")))[1]
        for year in (2025, 2026)
    )
    assert first.id != again.id


def test_a_return_of_nothing_that_we_know() -> None:
    """It is money that came in, marked so that nobody is credited by its text."""
    back = entry("CRDT", "5.00", detail(end_to_end="X", reason="AC04", text="w_1"))
    (line,), (notice,), _ = read(statement(back))
    assert (notice.subject, notice.code, notice.details["is_return"]) == (
        Subject.CREDIT,
        "AC04",
        True,
    )
    assert line.text == "returned AC04: w_1"


def test_a_credit_is_taken_back() -> None:
    """A debit that is a reversal declines the credit that it takes back."""
    (line,), (notice,), end = read(
        statement(entry("DBIT", "5.00", detail("DBIT"), reversal="true"))
    )
    assert (notice.subject, notice.outcome, notice.amount) == (
        Subject.CREDIT,
        Outcome.DECLINED,
        500,
    )
    assert (line.subject, line.amount, end.net) == (Subject.CREDIT, -500, -500)


@pytest.mark.parametrize("state", ["PDNG", "INFO", "FUTR"])
def test_only_what_is_booked_counts(state: str) -> None:
    """News are no money."""
    lines, notices, end = read(
        statement(entry("DBIT", "5.00", detail(end_to_end=OURS), state=state))
    )
    assert (lines, notices, end.net, end.entries) == ([], [], 0, 1)


def test_other_debits() -> None:
    """A fee is a fee; an order of somebody else's is a line without a reference, and no notice."""
    fee = entry("DBIT", "1.00", sub="CHRG", text="account fee", booked="")
    (first, second), notices, _ = read(
        statement(fee, entry("DBIT", "2.00", detail(end_to_end="X")))
    )
    assert (first.subject, first.amount, first.text) == (Subject.FEE, -100, "account fee")
    assert first.at == AT.replace(day=2)
    assert (second.subject, second.amount, second.reference) == (Subject.PAYOUT, -200, None)
    assert notices == []


def test_a_batch_with_its_orders() -> None:
    """Details that add up are lines of their own; a credit among debits counts against them."""
    parts = (
        detail("DBIT", "3.00", end_to_end=OURS),
        detail("DBIT", "4.00", end_to_end=OTHER),
        detail("CRDT", "1.00"),
    )
    lines, notices, _ = read(statement(entry("DBIT", "6.00", *parts, ref="B1")))
    assert [line.amount for line in lines] == [-300, -400, 100]
    assert len({line.id for line in lines}) == 3
    assert [one.id.partition(":")[0] for one in notices] == ["paid", "paid", "credit"]
    assert [one.reference for one in notices[:2]] == [OURS, OTHER]


@pytest.mark.parametrize("amounts", [("3.00", "4.00"), (None, "3.00")])
def test_a_batch_that_does_not_add_up(amounts: tuple[str | None, str]) -> None:
    """It is one line, so lines are always what stands on the account; its orders are booked."""
    parts = [
        detail("DBIT", amount, end_to_end=id)
        for id, amount in zip((OURS, OTHER), amounts, strict=True)
    ]
    (line,), notices, _ = read(statement(entry("DBIT", "6.00", *parts, ref="B1")))
    assert (line.amount, line.reference, "#" in line.id) == (-600, None, False)
    assert [one.id for one in notices] == [f"paid:{OURS}", f"paid:{OTHER}"]
    assert [one.amount for one in notices][1] == int(amounts[1].replace(".", ""))


@pytest.mark.parametrize("amounts", [("30.00", "30.00"), ("300.00", "300.00"), (None, None)])
def test_credits_that_do_not_add_up_are_one(amounts: tuple[str | None, str | None]) -> None:
    """What came in is what the entry says, however its details divide it; it names nobody."""
    parts = [detail("CRDT", amount, text="WALLET4711") for amount in amounts]
    parts.append(detail("CRDT", amounts[0], end_to_end=OURS, reason="AC04"))
    (line,), (notice,), _ = read(statement(entry("CRDT", "100.00", *parts, ref="B1")))
    assert (notice.subject, notice.amount, line.amount) == (Subject.CREDIT, 10000, 10000)
    assert "remittance" not in notice.details
    assert notice.reference == line.id


def test_a_debit_that_does_not_add_up_credits_nobody() -> None:
    """Whatever stands in it besides orders of ours."""
    parts = (detail("DBIT", "3.00", end_to_end=OURS), detail("CRDT", "900.00", text="WALLET4711"))
    _, notices, _ = read(statement(entry("DBIT", "6.00", *parts)))
    assert [one.id for one in notices] == [f"paid:{OURS}"]


def test_an_entry_is_known_by_what_its_details_are_called() -> None:
    """Statements that overlap tell it twice, at other places: it is one where its details say so,
    and two where the bank names nothing.
    """
    named = detail("CRDT", "5.00", bank="D-1", text="hello")
    before = entry("CRDT", "1.00", detail("CRDT", "1.00", bank="D-0"))
    first = read(statement(before, entry("CRDT", "5.00", named)))[0]
    again = read(statement(entry("CRDT", "5.00", named), id="S9"))[0]
    assert first[1].id == again[0].id
    for ref in ({}, {"ref": "NONREF"}):
        unnamed = entry("CRDT", "5.00", detail("CRDT", "5.00"), **ref)
        assert read(statement(unnamed))[0][0].id != read(statement(unnamed, id="S9"))[0][0].id


def test_a_batch_without_its_orders() -> None:
    """A block of ours that is booked as one is told of by its name: the file says whose it is."""
    batch = f"<Btch><PmtInfId>{FILE}-1</PmtInfId><NbOfTxs>2</NbOfTxs></Btch>"
    (line,), (notice,), _ = read(statement(entry("DBIT", "6.00", batch=batch)))
    assert (notice.id, notice.about, notice.reference) == (f"paid:{FILE}-1", f"{FILE}-1", None)
    assert (notice.amount, notice.details["count"], line.amount) == (600, 2, -600)
    for other in ("<Btch><PmtInfId>X-1</PmtInfId></Btch>", "<Btch><MsgId>X</MsgId></Btch>"):
        assert read(statement(entry("DBIT", "6.00", batch=other)))[1] == []
    (credit,) = read(statement(entry("CRDT", "6.00", batch=batch)))[1]
    assert credit.subject is Subject.CREDIT


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["CRDT", "DBIT"]),
            st.lists(st.integers(1, 10**6), max_size=4),
            st.integers(1, 10**7),
            st.sampled_from(["BOOK", "PDNG"]),
        ),
        max_size=6,
    )
)
def test_lines_are_the_account(entries: list[tuple[str, list[int], int, str]]) -> None:
    """Whatever banks say, the lines of a statement are together what its entries moved."""
    written = [
        entry(
            sign,
            f"{amount / 100:.2f}",
            *(detail(sign, f"{part / 100:.2f}") for part in parts),
            state=state,
        )
        for sign, parts, amount, state in entries
    ]
    lines, _, end = read(statement(*written))
    assert sum(line.amount for line in lines) == end.net
    assert end.entries == len(entries)


def test_several_statements() -> None:
    """Each has its own end, and an equal entry of the next is another one."""
    content = statement(entry("CRDT", "1.00")).decode()
    scope = content[content.index("<Stmt>") : content.index("</Stmt>") + 7]
    content = content.replace(scope, scope + scope.replace("S1", "S2"))
    found = list(read_bookings(cut(content.encode())))
    assert [type(one) for one in found] == [Statement, Booking, StatementEnd] * 2
    ends = [one for one in found if isinstance(one, StatementEnd)]
    assert [(one.statement.id, one.net, one.entries) for one in ends] == [
        ("S1", 100, 1),
        ("S2", 100, 1),
    ]
    lines = [line.id for one in found if isinstance(one, Booking) for line in one.lines]
    assert len({*lines}) == 2


def test_a_file_without_a_statement() -> None:
    """There is nothing in it."""
    content = statement().decode()
    start, end = content.index("<Stmt>"), content.index("</Stmt>") + 7
    assert list(read_bookings([(content[:start] + content[end:]).encode()])) == []
