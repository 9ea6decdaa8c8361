"""Files of others: what is read, and what is refused with row and column."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import CatenaError, Conflict, InvalidInput, PayloadTooLarge
from catena.gateways.contract import StatementLine, Subject
from catena.money import ISO_CURRENCIES, MAX_AMOUNT_MINOR, Currency
from catena.reconciliation.reports import Reading, read_plain, read_stripe
from catena.reconciliation.statements import check_lines, sort_out
from catena.reconciliation.tables import (
    Dialect,
    ImportLimits,
    neutralise,
    parse_moment,
    parse_signed,
    read_table,
    write_table,
)
from tests.reconciliation.lines import day, theirs

STRIPE = """\
balance_transaction_id,created_utc,created,available_on_utc,currency,gross,fee,net,\
reporting_category,source_id,description,payment_intent_id,charge_id
txn_1,2026-03-01 12:30:00,2026-03-01 14:30:00,2026-03-03 00:00:00,eur,125.50,3.50,122.00,\
charge,ch_1,"Order, one",pi_1,ch_1
txn_2,2026-03-02 00:00:01,,,eur,-25.5,0.00,-25.50,refund,re_1,,pi_1,ch_1
txn_3,2026-03-02 00:00:02,,,usd,-10.00,15.00,-25.00,dispute,dp_1,,,ch_2
txn_4,2026-03-02 00:00:03,,,jpy,1000,0,1000,charge,ch_3,,,
txn_5,2026-03-02 00:00:04,,,eur,-2.00,0.00,-2.00,fee,,Billing,,
txn_6,2026-03-02 00:00:05,,,eur,9.00,0.00,9.00,other_adjustment,,,,
txn_7,2026-03-02 00:00:06,,,eur,-9.00,0.00,-9.00,transfer,tr_1,,,
"""
PLAIN = """\
id,at,subject,amount,currency,fee,reference,text
x1,2026-03-01,charge,125.50,EUR,1.20,pi_1,One
x2,2026-03-01T10:00:00+02:00,Payout,-1.5,BHD,,,
"""


def test_stripe() -> None:
    """Charges go by their PaymentIntent, the rest by its source; gross and fee are apart."""
    first, *rest = read_stripe(STRIPE.encode())
    assert first == StatementLine(
        id="txn_1",
        subject=Subject.CHARGE,
        amount=12550,
        fee=350,
        currency="EUR",
        reference="pi_1",
        at=dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC),
        text="charge: Order, one",
    )
    assert [
        (line.subject, line.amount, line.fee, line.currency, line.reference) for line in rest
    ] == [
        (Subject.REFUND, -2550, 0, "EUR", "re_1"),
        (Subject.DISPUTE, -1000, 1500, "USD", "dp_1"),
        (Subject.CHARGE, 1000, 0, "JPY", "ch_3"),
        (Subject.FEE, -200, 0, "EUR", None),
        (Subject.CREDIT, 900, 0, "EUR", None),
        (Subject.PAYOUT, -900, 0, "EUR", "tr_1"),
    ]


def test_stripe_in_its_own_zone() -> None:
    """Without the column in UTC, moments are of the zone that the report was asked for in."""
    text = (
        "balance_transaction_id,created,currency,gross,fee,reporting_category,source_id\n"
        "txn_1,2026-03-29 01:30:00,EUR,1.00,0,charge,ch_1\n"
    )
    (line,) = read_stripe(text.encode(), Reading(zone=ZoneInfo("Europe/Berlin")))
    assert line.at == dt.datetime(2026, 3, 29, 0, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_plain(encoding: str) -> None:
    """Every column that is documented, in every encoding that spreadsheets write."""
    lines = read_plain(PLAIN.encode(encoding))
    assert lines == [
        StatementLine("x1", Subject.CHARGE, 12550, 120, "EUR", "pi_1", day(0), "One"),
        StatementLine(
            "x2", Subject.PAYOUT, -1500, 0, "BHD", None, day(0) + dt.timedelta(hours=8), ""
        ),
    ]


def test_other_dialects() -> None:
    """Semicolons and decimal commas, and assets of the ledger."""
    text = "id;at;subject;amount;currency\n1;2026-03-01;credit;+1,500;PTS\n\n"
    assets = {"PTS": Currency("PTS", 1)}
    (line,) = read_plain(text.encode(), Reading(Dialect(";", ","), currencies=assets))
    assert (line.amount, line.currency) == (15, "PTS")


FAULTS = [
    ("", "/", "no header"),
    ("id,at,subject,amount\n", "/rows/1/currency", "missing"),
    ("id,at,subject,amount,currency,at\n", "/rows/1/6", "before"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,1.00\n", "/rows/2", "5 cells"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,1e2,EUR\n", "/rows/2/amount", "decimal"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,1.005,EUR\n", "/rows/2/amount", "2 p"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,,EUR\n", "/rows/2/amount", "decimal"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,--1,EUR\n", "/rows/2/amount", "deci"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,NaN,EUR\n", "/rows/2/amount", "decimal"),
    ('id,at,subject,amount,currency\n1,2026-03-01,charge,"1,000",EUR\n', "/rows/2/amount", "d"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,1.,EUR\n", "/rows/2/amount", "decimal"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,٣,EUR\n", "/rows/2/amount", "decimal"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,99999999999999999999,EUR\n",
     "/rows/2/amount", "decimal"),
    ("id,at,subject,amount,currency\n1,2026-03-01,charge,1,XXX\n", "/rows/2/currency", "known"),
    ("id,at,subject,amount,currency\n1,2026-02-30,charge,1,EUR\n", "/rows/2/at", "moment"),
    ("id,at,subject,amount,currency\n1,0001-01-01T00:00+14:00,charge,1,EUR\n", "/rows/2/at", "m"),
    ("id,at,subject,amount,currency\n1,2026-03-01,gift,1,EUR\n", "/rows/2/subject", "one of"),
    ("id,at,subject,amount,currency\n\n,2026-03-01,charge,1,EUR\n", "/rows/3/id", "1 to 200"),
    ("id,at,subject,amount,currency,fee\n1,2026-03-01,charge,1,EUR,x\n", "/rows/2/fee", "decimal"),
    ("id,at,subject,amount,currency,net\n1,2026-03-01,charge,1,EUR,2\n", "/rows/2/net", "net"),
    ("id,at,subject,amount,currency,net\n1,2026-03-01,charge,1,EUR,y\n", "/rows/2/net", "decimal"),
    ('id,at,subject,amount,currency\n1,2026-03-01,charge,1,"EUR\n', "/rows/", "Quotes"),
    ("id,at,subject,amount,currency,net\n1,x,charge,1,EUR,1\n", "/rows/2/at", "moment"),
    ("id,at\0\n", "/", "NUL"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "sentence"), FAULTS)
def test_faults_are_named(text: str, place: str, sentence: str) -> None:
    """What is wrong is said with its row and column, and what stood there is not repeated."""
    with pytest.raises(InvalidInput) as caught:
        read_plain(text.encode())
    said = [("/", caught.value.detail), *caught.value.fields]
    assert any(at.startswith(place) and sentence in why for at, why in said), said


def test_faults_of_stripe_are_named() -> None:
    """A report of theirs is read as closely: its columns, its totals."""
    with pytest.raises(InvalidInput) as caught:
        read_stripe(STRIPE.replace("122.00", "122.01").encode())
    assert caught.value.fields == [("/rows/2/net", "The net is not the gross less the fee.")]
    with pytest.raises(InvalidInput) as caught:
        read_stripe(b"id,created\n")
    assert [place for place, _ in caught.value.fields][:2] == [
        "/rows/1/balance_transaction_id",
        "/rows/1/currency",
    ]


def test_bytes_that_are_no_text() -> None:
    """The line is named where the file stops being UTF-8."""
    with pytest.raises(InvalidInput) as caught:
        read_table(b"a,b\n1,2\n\xff,3\n")
    assert caught.value.fields == (("/rows/3", "Here are bytes that are no text."),)


SMALL = ImportLimits(
    file_bytes=200, rows=3, columns=3, cell_characters=10, reference_characters=5, complaints=2
)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"a" * 201, PayloadTooLarge),
        (b"a\n1\n2\n3\n4\n", PayloadTooLarge),
        (b"a,b,c,d\n", InvalidInput),
        (b"a\n" + b"1" * 11, InvalidInput),
    ],
)
def test_sizes_have_limits(raw: bytes, error: type[CatenaError]) -> None:
    """No file is too large to be refused."""
    with pytest.raises(error):
        read_table(raw, limits=SMALL)


def test_complaints_are_counted_and_not_endless() -> None:
    """The first are named, of the others there is the number."""
    with pytest.raises(InvalidInput) as caught:
        read_table(b"a,b\n1\n2\n3\n", limits=SMALL)
    assert "3 complaints, of which 2 are named" in caught.value.detail
    assert len(caught.value.fields) == 2


@given(st.binary(max_size=300))
def test_no_bytes_break_it(raw: bytes) -> None:
    """Whatever comes, it is read or refused."""
    for read in (read_plain, read_stripe):
        try:
            read(raw)
        except CatenaError as error:
            assert error.code in {"invalid_request", "payload_too_large"}  # noqa: PT017


@given(st.integers(-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR), st.sampled_from(["EUR", "JPY", "BHD"]))
def test_amounts_are_exact(amount: int, code: str) -> None:
    """Every amount that there is comes back to the last unit; no float is on the way."""
    currency = ISO_CURRENCIES[code]
    digits = str(abs(amount)).zfill(currency.exponent + 1)
    point = len(digits) - currency.exponent
    text = digits[:point] + ("." + digits[point:] if currency.exponent else "")
    sign = "-" if amount < 0 else "+" if amount % 2 else ""
    assert parse_signed(sign + text, currency) == amount


def test_noughts_change_nothing() -> None:
    """Behind the last place of a currency noughts are taken, and nothing else."""
    assert parse_signed("5.00", ISO_CURRENCIES["JPY"]) == 5
    assert parse_signed("5.1000", ISO_CURRENCIES["EUR"]) == 510
    with pytest.raises(InvalidInput):
        parse_signed("1.000.0", ISO_CURRENCIES["EUR"], ",")


def test_moments() -> None:
    """A moment with an offset is of it; one without of the zone; a day is its beginning."""
    assert parse_moment("2026-03-01") == day(0)
    assert parse_moment("2026-03-01T00:00:00Z") == day(0)
    assert parse_moment("2026-03-01 05:00+05:00", ZoneInfo("Asia/Tokyo")) == day(0)
    assert parse_moment("2026-03-01 09:00", ZoneInfo("Asia/Tokyo")) == day(0)


@pytest.mark.parametrize(
    "text", ["=1+1", "+A1", "-A1", "@SUM(1)", "\t=1", " =1", "\uff1d1", "\r=1"]
)
def test_formulas_are_text(text: str) -> None:
    """What a spreadsheet would calculate is shown."""
    assert neutralise(text).startswith("'")
    assert write_table([[text]]).lstrip('"').startswith("'")


def test_no_formula_hides_behind_a_semicolon() -> None:
    """Where lists are separated by semicolons, a spreadsheet begins a cell there."""
    told = 'Rent; =cmd;"@SUM(1)";a=b;3'
    assert neutralise(told) == "Rent;' =cmd;'\"@SUM(1)\";a=b;3"


def test_what_is_written() -> None:
    """Numbers are numbers, with their sign; marks that hide text are gone."""
    table = write_table([["-12.50", 3, "-x", 'a"b,c', "a\u202eb", "-", "1.2.3"]])
    assert table == '-12.50,3,\'-x,"a""b,c",a b,\'-,1.2.3\r\n'


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (theirs("", None, 1), "id"),
        (theirs("x" * 201, None, 1), "id"),
        (theirs("x", "r" * 201, 1), "reference"),
        (theirs("x", None, 1)._replace(text="t" * 501), "text"),
        (theirs("x", "\0", 1), "text"),
        (theirs("x", None, 2**63), "amount"),
        (theirs("x", None, 1)._replace(amount=True), "amount"),
        (theirs("x", None, 1, fee=-(2**63)), "fee"),
        (theirs("x", None, 1, currency="XXX"), "currency"),
        (theirs("x", None, 1)._replace(at=dt.datetime(2026, 3, 1)), "at"),  # noqa: DTZ001
    ],
)
def test_lines_of_gateways_are_checked_too(line: StatementLine, column: str) -> None:
    """Whoever has read them: what could not be stored is named by its place in the list."""
    with pytest.raises(InvalidInput) as caught:
        check_lines([theirs("ok", None, 1), line], ISO_CURRENCIES)
    assert [place for place, _ in caught.value.fields] == [f"/rows/2/{column}"]


def test_overlapping_statements() -> None:
    """What was there is not taken again, whatever its text is; otherwise the whole is refused."""
    known = {"x": theirs("x", "pi_1", 100)}
    new = theirs("y", "pi_2", 50)
    rewritten = theirs("x", "pi_1", 100)._replace(text="as the bank writes it today")
    intake = sort_out([rewritten, new, new], known)
    assert (intake.fresh, intake.repeated) == ((new,), 2)
    with pytest.raises(Conflict) as caught:
        sort_out([new, theirs("x", "pi_1", 101)], known)
    assert [place for place, _ in caught.value.fields] == ["/rows/2/id"]
