"""Writes pain.001, the file of credit transfers: the same orders give the same bytes, for ever.

Invariant: what is written is in the order of the schema and within SEPA's limits, or nothing is
written; counts and sums are those of the orders, in whole numbers. It neither sends nor stores.
SEPA has none of the characters that XML must escape.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Final

from catena.gateways.bank.characters import to_sepa
from catena.gateways.bank.orders import FileHeader, PayoutOrder, check_file
from catena.gateways.bank.references import is_rf_reference
from catena.money import format_amount, iso_currency

__all__ = ["Unbuildable", "Version", "block_ids", "build_pain001"]


class Version(StrEnum):
    """Which pain.001. Banks have moved to .09; .03 is what older ones still take."""

    V09 = "pain.001.001.09"
    V03 = "pain.001.001.03"


class Unbuildable(ValueError):
    """These orders make no file. `reasons`: why, in sentences."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = tuple(reasons)


_EUR: Final = iso_currency("EUR")


def build_pain001(
    header: FileHeader, orders: Sequence[PayoutOrder], version: Version = Version.V09
) -> bytes:
    """The file, in UTF-8. Orders of one requested day make one payment block, in their own order.

    Each is to be booked by itself (BtchBookg false), so that a statement has one entry for each;
    costs are shared (SLEV). Raises Unbuildable.
    """
    debtor = header.debtor._replace(name=to_sepa(header.debtor.name))
    header = header._replace(initiator=to_sepa(header.initiator), debtor=debtor)
    orders = [
        order._replace(name=to_sepa(order.name), remittance=to_sepa(order.remittance))
        for order in orders
    ]
    if reasons := list(check_file(header, orders)):
        raise Unbuildable(reasons)
    return "".join(_write(header, orders, version)).encode("ascii")


def block_ids(message_id: str, orders: Sequence[PayoutOrder]) -> dict[str, str]:
    """The payment block that each order stands in, by its EndToEndId: a status may name only it."""
    return {
        order.end_to_end_id: id for id, _, of_day in _divide(message_id, orders) for order in of_day
    }


def _divide(
    message_id: str, orders: Sequence[PayoutOrder]
) -> Iterator[tuple[str, dt.date, list[PayoutOrder]]]:
    """The payment blocks: id, day and orders. The sort is stable: their own order is kept."""
    by_day = sorted(orders, key=lambda order: order.requested_on)
    for number, (day, of_day) in enumerate(groupby(by_day, lambda one: one.requested_on), 1):
        yield f"{message_id}-{number}", day, [*of_day]


def _write(header: FileHeader, orders: Sequence[PayoutOrder], version: Version) -> Iterator[str]:
    created = header.created_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{version}"><CstmrCdtTrfInitn>'
        f"<GrpHdr><MsgId>{header.message_id}</MsgId><CreDtTm>{created}</CreDtTm>"
        f"{_count(orders)}<InitgPty><Nm>{header.initiator}</Nm></InitgPty></GrpHdr>"
    )
    for id, day, of_day in _divide(header.message_id, orders):
        yield from _write_block(header, id, day, of_day, version)
    yield "</CstmrCdtTrfInitn></Document>\n"


def _write_block(
    header: FileHeader, id: str, day: dt.date, orders: Sequence[PayoutOrder], version: Version
) -> Iterator[str]:
    debtor = header.debtor
    date = f"<Dt>{day.isoformat()}</Dt>" if version is Version.V09 else day.isoformat()
    agent = "<Othr><Id>NOTPROVIDED</Id></Othr>" if debtor.bic is None else _bic(debtor.bic, version)
    yield (
        f"<PmtInf><PmtInfId>{id}</PmtInfId><PmtMtd>TRF</PmtMtd><BtchBookg>false</BtchBookg>"
        f"{_count(orders)}<PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl></PmtTpInf>"
        f"<ReqdExctnDt>{date}</ReqdExctnDt><Dbtr><Nm>{debtor.name}</Nm></Dbtr>"
        f"<DbtrAcct><Id><IBAN>{debtor.iban}</IBAN></Id></DbtrAcct>"
        f"<DbtrAgt><FinInstnId>{agent}</FinInstnId></DbtrAgt><ChrgBr>SLEV</ChrgBr>"
    )
    for order in orders:
        yield _write_order(order, version)
    yield "</PmtInf>"


def _write_order(order: PayoutOrder, version: Version) -> str:
    id = order.end_to_end_id
    agent = ""
    if order.bic is not None:
        agent = f"<CdtrAgt><FinInstnId>{_bic(order.bic, version)}</FinInstnId></CdtrAgt>"
    return (
        f"<CdtTrfTxInf><PmtId><InstrId>{id}</InstrId><EndToEndId>{id}</EndToEndId></PmtId>"
        f'<Amt><InstdAmt Ccy="EUR">{format_amount(order.amount, _EUR)}</InstdAmt></Amt>{agent}'
        f"<Cdtr><Nm>{order.name}</Nm></Cdtr>"
        f"<CdtrAcct><Id><IBAN>{order.iban}</IBAN></Id></CdtrAcct>"
        f"{_write_remittance(order.remittance)}</CdtTrfTxInf>"
    )


def _write_remittance(text: str) -> str:
    if not text:
        return ""
    if is_rf_reference(text):
        kind = "<Tp><CdOrPrtry><Cd>SCOR</Cd></CdOrPrtry><Issr>ISO</Issr></Tp>"
        reference = f"<CdtrRefInf>{kind}<Ref>{text}</Ref></CdtrRefInf>"
        return f"<RmtInf><Strd>{reference}</Strd></RmtInf>"
    return f"<RmtInf><Ustrd>{text}</Ustrd></RmtInf>"


def _count(orders: Sequence[PayoutOrder]) -> str:
    total = format_amount(sum(order.amount for order in orders), _EUR)
    return f"<NbOfTxs>{len(orders)}</NbOfTxs><CtrlSum>{total}</CtrlSum>"


def _bic(bic: str, version: Version) -> str:
    name = "BICFI" if version is Version.V09 else "BIC"
    return f"<{name}>{bic}</{name}>"
