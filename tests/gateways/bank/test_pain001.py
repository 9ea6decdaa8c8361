"""A file holds exactly its orders, in the same bytes each time, or it is not made."""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.gateways.bank.characters import to_sepa
from catena.gateways.bank.limits import AMOUNT_MINOR_MAX, FILE_ORDERS_MAX
from catena.gateways.bank.orders import Debtor, FileHeader, PayoutOrder
from catena.gateways.bank.pain001 import Unbuildable, Version, block_ids, build_pain001
from catena.gateways.bank.references import end_to_end_id

GOLDEN = Path(__file__).parent / "golden"
DAY = dt.date(2026, 10, 1)
HEADER = FileHeader(
    "CFAAAAAAAAAAAAAAAAAAAAAAAAAA",
    dt.datetime(2026, 9, 30, 11, 0, 0, 5, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    "Größe & Co",
    Debtor("ACME Holding BV", "NL41MOCK0000000001", "MOCKNL2AXXX"),
)
ORDER = PayoutOrder(
    "k1",
    end_to_end_id("k1"),
    1001,
    "EUR",
    "Jörg Straße",
    "NL30MOCK0000000005",
    DAY,
    None,
    "für Sie",
)
ORDERS = [
    ORDER,
    ORDER._replace(key="k2", end_to_end_id=end_to_end_id("k2"), requested_on=DAY.replace(day=2)),
    ORDER._replace(
        key="k3",
        end_to_end_id=end_to_end_id("k3"),
        amount=AMOUNT_MINOR_MAX,
        bic="MOCKNL2A",
        remittance="RF18539007547034",
    ),
    ORDER._replace(key="k4", end_to_end_id=end_to_end_id("k4"), amount=1, remittance=""),
]
NAMES = st.text("abcXYZ äßøЖλ&'-", min_size=1, max_size=30).filter(lambda text: text.strip())


@pytest.mark.parametrize("version", Version)
def test_golden(version: Version) -> None:
    """The committed files are what is built: bytes that were sent once can be sent again."""
    debtor = HEADER.debtor if version is Version.V09 else HEADER.debtor._replace(bic=None)
    built = build_pain001(HEADER._replace(debtor=debtor), ORDERS, version)
    assert built == (GOLDEN / f"{version}.xml").read_bytes()


def read(content: bytes) -> tuple[dict[str, tuple[int, str, str, str]], list[tuple[int, Decimal]]]:
    """What the standard library sees: orders by EndToEndId, and each count with its sum."""
    root = ET.fromstring(content)  # noqa: S314  # our own file
    space = root.tag[: root.tag.index("}") + 1]
    orders = {}
    for one in root.iter(f"{space}CdtTrfTxInf"):

        def text(path: str, one: ET.Element = one) -> str:
            return one.findtext("/".join(f"{space}{name}" for name in path.split("/"))) or ""

        said = text("RmtInf/Ustrd") or text("RmtInf/Strd/CdtrRefInf/Ref")
        minor = int(Decimal(text("Amt/InstdAmt")).scaleb(2))
        orders[text("PmtId/EndToEndId")] = (minor, text("Cdtr/Nm"), text("CdtrAcct/Id/IBAN"), said)
    counts = [int(one.text or "") for one in root.iter(f"{space}NbOfTxs")]
    sums = [Decimal(one.text or "") for one in root.iter(f"{space}CtrlSum")]
    return orders, list(zip(counts, sums, strict=True))


@given(
    st.lists(
        st.tuples(st.integers(1, AMOUNT_MINOR_MAX), NAMES, st.integers(0, 3)),
        min_size=1,
        max_size=8,
    )
)
def test_an_independent_reader_finds_the_orders(wishes: list[tuple[int, str, int]]) -> None:
    """Each order once, to the cent, with its name; counts and sums are those of each part."""
    orders = [
        ORDER._replace(
            end_to_end_id=end_to_end_id(str(number)),
            amount=amount,
            name=name,
            requested_on=DAY + dt.timedelta(days=days),
        )
        for number, (amount, name, days) in enumerate(wishes)
    ]
    content = build_pain001(HEADER, orders)
    assert content == build_pain001(HEADER, list(orders))
    found, counts = read(content)
    assert found == {
        one.end_to_end_id: (one.amount, to_sepa(one.name), one.iban, "fur Sie") for one in orders
    }
    (count, total), *blocks = counts
    assert (count, total) == (len(orders), Decimal(sum(one.amount for one in orders)).scaleb(-2))
    assert (sum(one for one, _ in blocks), sum(one for _, one in blocks)) == (count, total)
    assert len(blocks) == len({*block_ids(HEADER.message_id, orders).values()})


FAULTS = {
    "name": ORDER._replace(name="王"),
    "IBAN": ORDER._replace(iban="nl30"),
    "BIC": ORDER._replace(bic="x"),
    "EndToEndId": ORDER._replace(end_to_end_id="a//b"),
    "EUR": ORDER._replace(currency="USD"),
    "minor units": ORDER._replace(amount=0),
    "amount": ORDER._replace(amount=AMOUNT_MINOR_MAX + 1),
    "remittance": ORDER._replace(remittance="x" * 141),
}


@pytest.mark.parametrize("word", FAULTS)
def test_an_order_that_cannot_be_sent(word: str) -> None:
    """The file is not made, and says which order and why."""
    with pytest.raises(Unbuildable, match=word) as refused:
        build_pain001(HEADER, [FAULTS[word]])
    assert len(refused.value.reasons) == 1
    assert refused.value.reasons[0].startswith(FAULTS[word].end_to_end_id)


HEADERS = {
    "message id": HEADER._replace(message_id="x" * 31),
    "initiating": HEADER._replace(initiator=""),
    "Debtor": HEADER._replace(debtor=Debtor("", "NL41MOCK0000000001")),
}


@pytest.mark.parametrize("word", HEADERS)
def test_a_header_that_cannot_be_sent(word: str) -> None:
    """As much of what is said of the file."""
    with pytest.raises(Unbuildable, match=word):
        build_pain001(HEADERS[word], [ORDER])


def test_an_order_is_never_there_twice() -> None:
    """One EndToEndId, one payment."""
    with pytest.raises(Unbuildable, match="twice"):
        build_pain001(HEADER, [ORDER, ORDER._replace(key="other")])


@pytest.mark.parametrize("count", [0, FILE_ORDERS_MAX + 1])
def test_how_many(count: int) -> None:
    """A file has some orders, and not too many."""
    orders = [ORDER._replace(end_to_end_id=f"E{number}") for number in range(count)]
    with pytest.raises(Unbuildable, match="1 to 9999"):
        build_pain001(HEADER, orders)
