"""What an installation says of a bank: whose account, by which road, and how often.

[housebank]                      # the gateway's name
kind = "bank"
iban = "..."                     # the account that payouts leave from, and `owner` whose it is
folder = "/var/spool/housebank"  # or payments_url, files_url and file_url
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from catena.errors import SetupError
from catena.gateways.bank.accounts import blame_bic, blame_iban, tidy_iban
from catena.gateways.bank.characters import blame_text
from catena.gateways.bank.days import CutOff
from catena.gateways.bank.folder import FolderBank, prepare_folder
from catena.gateways.bank.limits import FILE_ORDERS_MAX, NAME_CHARACTERS_MAX
from catena.gateways.bank.orders import Debtor
from catena.gateways.bank.pain001 import Version
from catena.gateways.bank.transport import BankAddress, BankTransport, HttpBank
from catena.outside.client import OutsideClient

__all__ = ["KIND", "OPTIONS", "BankOptions", "build_road", "check_road", "read_options"]

KIND: Final = "bank"


class BankOptions(NamedTuple):
    """A bank account. Exactly one of `folder` and `address` is there.

    A file is sealed when `file_orders` wait for it (0: never), when the first has waited
    `file_seconds`, or `cutoff_lead_seconds` before the cut-off of a day that one of them is for.
    `numbers`: what statements call the account, tidied. `keeps`: the bank goes on listing what it
    was told is stored.
    """

    debtor: Debtor
    numbers: frozenset[str]
    folder: Path | None
    address: BankAddress | None
    version: Version
    cutoff: CutOff
    cutoff_lead_seconds: float
    file_orders: int
    file_seconds: float
    mailbox_seconds: float

    @property
    def keeps(self) -> bool:
        """Whether a name that is listed again is no news."""
        return self.address is not None and not self.address.acknowledge_url

    @property
    def delivery_seconds(self) -> float:
        """How long a delivery may take, at most."""
        return 0.0 if self.address is None else self.address.timeout_seconds


_TEXTS: Final = {
    "iban": "",
    "owner": "",
    "bic": "",
    "account_number": "",
    "folder": "",
    "payments_url": "",
    "files_url": "",
    "file_url": "",
    "acknowledge_url": "",
    "user": "",
    "password": "",
    "version": Version.V09.value,
    "cutoff": "15:00",
    "zone": "Europe/Berlin",
}
_DAY_SECONDS: Final = 86_400
_NUMBERS: Final = {
    "timeout_seconds": 30.0,
    "cutoff_lead_seconds": 900.0,
    "file_orders": float(FILE_ORDERS_MAX),
    "file_seconds": 300.0,
    "mailbox_seconds": 60.0,
}
OPTIONS: Final = frozenset({*_TEXTS, *_NUMBERS})
"""All that can be said of a bank."""


def read_options(name: str, options: Mapping[str, Any]) -> BankOptions:
    """What the file says of it, with what it leaves out. Raises SetupError."""
    for key, value in options.items():
        wanted = str if key in _TEXTS else (int, float)
        if key not in OPTIONS:
            raise _blame(name, f"it has no option `{key}`.")
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise _blame(name, f"`{key}` is a {'text' if wanted is str else 'number'}.")
    text = {key: str(options.get(key, value)) for key, value in _TEXTS.items()}
    number = {key: float(options.get(key, value)) for key, value in _NUMBERS.items()}
    for key, value in number.items():
        if not 0 <= value <= _DAY_SECONDS:  # nor is it what is no number
            raise _blame(name, f"`{key}` is from 0 to {_DAY_SECONDS}.")
    if number["timeout_seconds"] == 0:
        raise _blame(name, "`timeout_seconds` is over 0.")
    if number["file_orders"] not in range(FILE_ORDERS_MAX + 1):
        raise _blame(name, f"`file_orders` is a whole number from 0 to {FILE_ORDERS_MAX}.")
    debtor = _read_debtor(name, text)
    folder, address = _read_road(name, text, number["timeout_seconds"])
    own = {debtor.iban, tidy_iban(text["account_number"])} - {""}
    return BankOptions(
        debtor,
        frozenset(own),
        folder,
        address,
        _read_version(name, text["version"]),
        _read_cutoff(name, text),
        number["cutoff_lead_seconds"],
        int(number["file_orders"]),
        number["file_seconds"],
        number["mailbox_seconds"],
    )


def _read_debtor(name: str, text: Mapping[str, str]) -> Debtor:
    debtor = Debtor(text["owner"], tidy_iban(text["iban"]), text["bic"] or None)
    blamed = {
        "owner": blame_text(debtor.name, NAME_CHARACTERS_MAX),
        "iban": blame_iban(debtor.iban),
        "bic": blame_bic(debtor.bic) if debtor.bic else "",
    }
    for key, said in blamed.items():
        if said:
            raise _blame(name, f"`{key}` {said}.")
    return debtor


def _read_road(
    name: str, text: Mapping[str, str], timeout_seconds: float
) -> tuple[Path | None, BankAddress | None]:
    urls = [text[key] for key in ("payments_url", "files_url", "file_url")]
    if bool(text["folder"]) == any(urls) or (any(urls) and not all(urls)):
        raise _blame(name, "it has a `folder`, or `payments_url`, `files_url` and `file_url`.")
    if text["folder"]:
        return Path(text["folder"]), None
    for key in ("file_url", "acknowledge_url"):
        if text[key] and "{name}" not in text[key]:
            raise _blame(name, f"`{key}` has {{name}} where the name of a file goes.")
    payments, files, file = urls
    more = text["acknowledge_url"], text["user"], text["password"], timeout_seconds
    return None, BankAddress(payments, files, file, *more)


def _read_version(name: str, text: str) -> Version:
    try:
        return Version(text)
    except ValueError:
        known = ", ".join(Version)
        raise _blame(name, f"`version` is one of {known}.") from None


def _read_cutoff(name: str, text: Mapping[str, str]) -> CutOff:
    said = "`cutoff` is a time such as 15:00, and `zone` one such as Europe/Berlin."
    try:
        found = CutOff(dt.time.fromisoformat(text["cutoff"]), ZoneInfo(text["zone"]))
    except (ValueError, KeyError, OSError):  # ZoneInfo raises all of them
        raise _blame(name, said) from None
    if found.time.tzinfo is not None:
        raise _blame(name, said)
    return found


def _blame(name: str, sentence: str) -> SetupError:
    return SetupError(f"The gateway {name}: {sentence}")


def check_road(name: str, options: BankOptions) -> None:
    """Try the folder, where that is the road. Raises SetupError."""
    try:
        if options.folder is not None:
            prepare_folder(options.folder)
    except OSError as error:
        said = f"`folder` {options.folder} cannot be used: {error.strerror}."
        raise _blame(name, said) from None


def build_road(options: BankOptions, client: OutsideClient, file_bytes: int) -> BankTransport:
    """The road to the bank; nothing goes over it yet. `file_bytes`: of what is read, at most."""
    if options.address is not None:
        return HttpBank(options.address, client)
    assert options.folder is not None  # noqa: S101  # one of the two is there
    return FolderBank(options.folder, file_bytes)
