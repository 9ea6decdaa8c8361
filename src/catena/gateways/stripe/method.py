"""How a charge is paid, in Stripe's words: what a `method` may say, and how it is sent.

Invariant: it holds names of what Stripe keeps (`pm_...`, `tok_...`), or an account for SEPA direct
debit with its mandate; never a card number, which must not even come this way (PCI DSS).
Source: "Create a PaymentIntent", "SEPA Direct Debit payments".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from catena.gateways.contract import Capability
from catena.gateways.stripe.api import Params

__all__ = ["DEBIT", "TYPES", "blame", "form_method"]

DEBIT: Final = "sepa_debit"
TYPES: Final = ("card", DEBIT)
"""The types of payment methods that we know how to charge; the first where none is named."""

_ACCEPTANCE: Final = ("offline", "online")

_TEXT: Final = r"[^\x00-\x1f\x7f]{1,500}"
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "acceptance": ("|".join(_ACCEPTANCE), "how a mandate was accepted: offline or online"),
    "customer": (r"cus_\w{1,250}", "a customer of Stripe's, cus_..."),
    "email": (r"[^\s@]{1,250}@[^\s@]{1,250}", "an address for mail"),
    "iban": (r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", "an IBAN without spaces"),
    "ip_address": (r"[0-9a-fA-F.:]{3,45}", "an address on the internet"),
    "mandate": (r"mandate_\w{1,250}", "a mandate of Stripe's, mandate_..."),
    "name": (_TEXT, "the name of an account's holder"),
    "payment_method": (r"(pm|card|src)_\w{1,250}", "a payment method of Stripe's, pm_..."),
    "return_url": (r"https?://\S{1,2000}", "a URL that the payer comes back to"),
    "token": (r"tok_\w{1,250}", "a token of Stripe's, tok_..."),
    "user_agent": (_TEXT, "what the payer's browser calls itself"),
}
"""What each text looks like, and how that is said."""

_SOURCES: Final = frozenset({"payment_method", "token", "iban"})
"""What says whose money it is."""

_OF_ALL: Final = {"type", "payment_method", "customer", "return_url", "off_session"}
_OF_CARDS: Final = _OF_ALL | {"token"}
_OF_MANDATES: Final = {"mandate", "acceptance", "ip_address", "user_agent"}
_OF_DEBITS: Final = _OF_ALL | _OF_MANDATES | {"iban", "name", "email"}
_PAYING: Final[Mapping[Capability, Mapping[str, set[str]]]] = {
    Capability.CHARGE: {"card": _OF_CARDS, DEBIT: _OF_DEBITS},
    Capability.AUTHORISE: {"card": _OF_CARDS},
}
"""What a method may say, by its type. Other capabilities are about a charge, and need none."""

_DIGITS: Final = re.compile(r"(?<!\d)(?:\d[ -]?){11,18}\d(?!\d)")
"""As many digits as a card number has, however they are grouped."""

_OWN_DIGITS: Final = frozenset({"iban", "ip_address", "return_url", "user_agent"})
"""Texts that have long numbers of their own, and are no place for a card's."""


def blame(capability: Capability, method: Mapping[str, Any]) -> Iterator[str]:
    """Why this cannot be a method, in sentences that repeat nothing of it."""
    if any(_has_card_number(name, value) for name, value in method.items()):
        yield "A card number must never come here: name a payment method of Stripe's, pm_...."
        return
    by_type = _PAYING.get(capability)
    if by_type is None:
        return
    type = method.get("type", TYPES[0])
    names = by_type.get(type) if isinstance(type, str) else None
    if names is None:
        yield f"For {capability}, type is one of: {', '.join(by_type)}."
        return
    if method.keys() - names:
        yield f"A method of type {type} has only: {', '.join(sorted(names))}."
    yield from (f"{name} is {_FORMS[name][1]}." for name in _FORMS if not _fits(name, method))
    if not isinstance(method.get("off_session", False), bool):
        yield "off_session is true or false."
    yield from _blame_source(method, is_debit=type == DEBIT)


def _fits(name: str, method: Mapping[str, Any]) -> bool:
    if name not in method:
        return True
    value, pattern = method[name], _FORMS[name][0]
    return isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


def _blame_source(method: Mapping[str, Any], *, is_debit: bool) -> Iterator[str]:
    """One thing says whose money it is, and a debit has a mandate."""
    if len(method.keys() & _SOURCES) != 1:
        yield f"A method has one of: {', '.join(sorted(_SOURCES))}."
    if "iban" in method and not method.keys() >= {"name", "email"}:
        yield "An iban needs the name and the email of its holder."
    if is_debit and not method.keys() & {"mandate", "acceptance"}:
        yield "A debit needs a mandate, or the acceptance of one."
    if method.get("acceptance") == "online" and not method.keys() >= {"ip_address", "user_agent"}:
        yield "An acceptance online needs the payer's ip_address and user_agent."


def _has_card_number(name: str, value: object) -> bool:
    """Whether digits that Luhn's sum accepts are in it (ISO/IEC 7812-1, annex B)."""
    match value:
        case Mapping():
            return any(_has_card_number(str(inner), part) for inner, part in value.items())
        case list() | tuple():
            return any(_has_card_number(name, part) for part in value)
        case bool():
            return False
        case str() | int() if name not in _OWN_DIGITS:
            return any(map(_has_luhn_sum, _DIGITS.findall(str(value))))
        case _:
            return False


def _has_luhn_sum(text: str) -> bool:
    digits = [int(letter) for letter in text if letter.isdigit()]
    doubled = [digit // 5 + 2 * digit % 10 for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def form_method(method: Mapping[str, Any]) -> Params:
    """The parameters that say how an intent is paid. `method` has passed `blame`."""
    type = method.get("type", TYPES[0])
    params: dict[str, object] = {"payment_method_types": [type]}
    plain = ("payment_method", "customer", "return_url", "off_session", "mandate")
    params |= {name: method[name] for name in plain if name in method}
    if "token" in method:
        params["payment_method_data"] = {"type": type, "card": {"token": method["token"]}}
    if "iban" in method:
        params["payment_method_data"] = {
            "type": type,
            DEBIT: {"iban": method["iban"]},
            "billing_details": {"name": method["name"], "email": method["email"]},
        }
    if "acceptance" in method:
        acceptance: dict[str, object] = {"type": method["acceptance"]}
        if method["acceptance"] == "online":
            online = {name: method[name] for name in ("ip_address", "user_agent")}
            acceptance["online"] = online
        params["mandate_data"] = {"customer_acceptance": acceptance}
    return params
