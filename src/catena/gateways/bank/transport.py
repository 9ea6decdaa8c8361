"""How files reach the bank and come from it: what every road must promise, and the road over HTTP.

Invariant: a file is delivered under its message id, the same bytes each time, and only a bank that
says so has taken or refused it; all else is unknown, and is delivered again. What the bank has for
us stays there until it is acknowledged, and that is done after it was stored.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

from catena.gateways.bank.accounts import mask_ibans
from catena.gateways.bank.limits import FILE_NAME_CHARACTERS_MAX, TEXT_CHARACTERS_MAX
from catena.gateways.bank.reasons import DUPLICATES
from catena.outside.client import NoAnswer, NotSent, OutsideClient, Request, Response

__all__ = [
    "BankAddress",
    "BankTransport",
    "BankUnreachable",
    "Delivered",
    "Delivery",
    "HttpBank",
    "is_file_name",
]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CODE: Final = re.compile(r"[A-Za-z0-9_]{1,35}")
_CONTENT: Final = "application/xml"
_SUCCESS: Final = range(200, 300)
_REFUSALS: Final = frozenset({400, 422})


class Delivery(StrEnum):
    """What became of a file."""

    TAKEN = "taken"
    """The bank has it, now or from before. What it does with it, its messages say."""
    REFUSED = "refused"
    """As a whole, by a bank that has read it: no order of it will be carried out."""
    UNKNOWN = "unknown"
    """It may have it or not: the same bytes are delivered again, under the same message id."""


class Delivered(NamedTuple):
    """`code`: why, stable; the bank's reason of a file that it refused."""

    outcome: Delivery
    code: str = ""
    text: str = ""


class BankUnreachable(Exception):
    """What the bank has for us cannot be read now. `code` is stable."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class BankTransport(Protocol):
    """A road to the bank. Delivering never raises; the others raise BankUnreachable."""

    async def deliver(self, message_id: str, content: bytes) -> Delivered:
        """Bring a file to the bank; the same message id always has the same content."""

    async def list_files(self) -> Sequence[str]:
        """The names of what the bank has for us, oldest first. A name is never used again.

        One that is no file name is given as it is: it cannot be read, and a person is told.
        """

    async def read_file(self, name: str) -> bytes:
        """The content of one, which stays where it is."""

    async def acknowledge(self, name: str) -> None:
        """It is stored: the bank need not keep it. It may be said again."""


def is_file_name(name: str) -> bool:
    """Whether a name of a file is one that can stand in a URL and in a folder."""
    return len(name) <= FILE_NAME_CHARACTERS_MAX and _NAME.fullmatch(name) is not None


class BankAddress(NamedTuple):
    """Where a bank takes files and gives them. `{name}` in the last two stands for a file's name.

    `files_url` answers a JSON list of objects with `id`; `acknowledge_url` is deleted, and is empty
    where a bank keeps what it has given. `user` and `password`: of HTTP Basic; empty: none.
    """

    payments_url: str
    files_url: str
    file_url: str
    acknowledge_url: str = ""
    user: str = ""
    password: str = ""
    timeout_seconds: float = 30.0


class HttpBank:
    """A bank that takes files by POST and gives them by GET."""

    def __init__(self, address: BankAddress, client: OutsideClient) -> None:
        self._address = address
        self._client = client
        self._headers: Mapping[str, str] = {}
        if address.user:
            secret = base64.b64encode(f"{address.user}:{address.password}".encode()).decode()
            self._headers = {"authorization": f"Basic {secret}"}

    async def deliver(self, message_id: str, content: bytes) -> Delivered:
        """Bring a file to the bank. A refusal counts if it says its reason, and means this file."""
        answer = await self._send("POST", self._address.payments_url, content)
        if isinstance(answer, NotSent | NoAnswer):
            return Delivered(Delivery.UNKNOWN, answer.reason)
        if answer.status in _SUCCESS:
            return Delivered(Delivery.TAKEN)
        said = _read_refusal(answer, message_id)
        if said is None:
            return Delivered(Delivery.UNKNOWN, f"http_{answer.status}")
        return said

    async def list_files(self) -> Sequence[str]:
        """The names of what the bank has for us."""
        listed = _read_json(await self._get(self._address.files_url))
        if not isinstance(listed, list):
            raise BankUnreachable("answer_unreadable")
        names = [str(one.get("id", "")) if isinstance(one, dict) else "" for one in listed]
        if "" in names:
            raise BankUnreachable("answer_unreadable")
        return names

    async def read_file(self, name: str) -> bytes:
        """The content of one."""
        if not is_file_name(name):
            raise BankUnreachable("name_refused")
        return await self._get(_place(self._address.file_url, name))

    async def acknowledge(self, name: str) -> None:
        """It is stored."""
        if self._address.acknowledge_url:
            url = _place(self._address.acknowledge_url, name)
            _check(await self._send("DELETE", url, b""), gone=True)

    async def _get(self, url: str) -> bytes:
        return _check(await self._send("GET", url, b"")).body

    async def _send(self, method: str, url: str, body: bytes) -> Response | NotSent | NoAnswer:
        headers = {**self._headers, **({"content-type": _CONTENT} if body else {})}
        request = Request(method, url, body, headers, self._address.timeout_seconds)
        return await self._client.send(request)


def _place(url: str, name: str) -> str:
    return url.replace("{name}", quote(name, safe=""))


def _check(answer: Response | NotSent | NoAnswer, *, gone: bool = False) -> Response:
    if isinstance(answer, NotSent | NoAnswer):
        raise BankUnreachable(answer.reason)
    if answer.status not in _SUCCESS and not (gone and answer.status in (404, 410)):
        raise BankUnreachable(f"http_{answer.status}")
    return answer


def _read_json(content: bytes) -> Any:  # noqa: ANN401  # any JSON
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _read_refusal(answer: Response, message_id: str) -> Delivered | None:
    """A refusal of this file by the bank, and not by something on the way to it; None: it is none.

    That it was here before is no refusal: the bank has it, whatever it has made of it.
    """
    said = _read_json(answer.body) if answer.status in _REFUSALS else None
    if not isinstance(said, dict) or said.get("status") != "RJCT":
        return None
    code, text = said.get("reason"), said.get("reason_text")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return None
    if said.get("msg_id") != message_id:
        return None
    text = text if isinstance(text, str) else ""
    outcome = Delivery.TAKEN if code in DUPLICATES else Delivery.REFUSED
    return Delivered(outcome, code, mask_ibans(text)[:TEXT_CHARACTERS_MAX])
