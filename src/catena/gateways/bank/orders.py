"""Orders to pay, as plain data, and why one cannot be sent as it is.

Amounts are whole minor units of EUR: SEPA carries nothing else. What passes here can be written
into a file; whether the account is there, only its bank knows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from catena.gateways.bank.accounts import blame_bic, blame_iban_form
from catena.gateways.bank.characters import blame_id, blame_text
from catena.gateways.bank.limits import (
    AMOUNT_MINOR_MAX,
    FILE_ORDERS_MAX,
    ID_CHARACTERS_MAX,
    MESSAGE_ID_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    REMITTANCE_CHARACTERS_MAX,
)
from catena.gateways.bank.references import is_rf_reference

__all__ = ["Debtor", "FileHeader", "PayoutOrder", "check_file", "check_order"]


class PayoutOrder(NamedTuple):
    """One credit transfer. `amount` in minor units of `currency`; `iban` in capitals, no spaces.

    `remittance`: what the payee reads, or an RF reference, which goes out as a structured one; an
    empty text: nothing. `requested_on`: the day on which the bank is asked to carry it out.
    """

    key: str
    end_to_end_id: str
    amount: int
    currency: str
    name: str
    iban: str
    requested_on: dt.date
    bic: str | None = None
    remittance: str = ""


class Debtor(NamedTuple):
    """The account that the money leaves from. Without a `bic` its bank is told by the IBAN."""

    name: str
    iban: str
    bic: str | None = None


class FileHeader(NamedTuple):
    """What is said of a file as a whole. `created_at` is in UTC, and written to the second.

    The bank takes a message id once, for ever: also that of a file that it refused.
    """

    message_id: str
    created_at: dt.datetime
    initiator: str
    debtor: Debtor


def _check_party(name: str, iban: str, bic: str | None) -> Iterator[str]:
    if said := blame_text(name, NAME_CHARACTERS_MAX):
        yield f"The name {said}."
    if said := blame_iban_form(iban):
        yield f"The IBAN {said}."
    if bic is not None and (said := blame_bic(bic)):
        yield f"The BIC {said}."


def check_order(order: PayoutOrder) -> Iterator[str]:
    """Why it cannot be written into a file, in sentences that repeat nothing of it.

    Of the IBAN only its form: whether it is one was asked when the order was taken in.
    """
    yield from _check_party(order.name, order.iban, order.bic)
    if said := blame_id(order.end_to_end_id, ID_CHARACTERS_MAX):
        yield f"The EndToEndId {said}."
    if order.currency != "EUR":
        yield "SEPA carries EUR, and no other currency."
    if not 1 <= order.amount <= AMOUNT_MINOR_MAX:
        yield f"The amount is not from 1 to {AMOUNT_MINOR_MAX} minor units."
    if (
        order.remittance
        and not is_rf_reference(order.remittance)
        and (said := blame_text(order.remittance, REMITTANCE_CHARACTERS_MAX))
    ):
        yield f"The remittance text {said}."


def check_file(header: FileHeader, orders: Iterable[PayoutOrder]) -> Iterator[str]:
    """Why these orders make no file, in sentences; those of an order begin with its EndToEndId."""
    if said := blame_id(header.message_id, MESSAGE_ID_CHARACTERS_MAX):
        yield f"The message id {said}."
    if said := blame_text(header.initiator, NAME_CHARACTERS_MAX):
        yield f"The initiating party's name {said}."
    yield from (f"Debtor: {said}" for said in _check_party(*header.debtor))
    seen: set[str] = set()
    for order in orders:
        yield from (f"{order.end_to_end_id}: {said}" for said in check_order(order))
        if order.end_to_end_id in seen:
            yield f"{order.end_to_end_id}: The EndToEndId is there twice."
        seen.add(order.end_to_end_id)
    if not 1 <= len(seen) <= FILE_ORDERS_MAX:
        yield f"A file has 1 to {FILE_ORDERS_MAX} orders."
