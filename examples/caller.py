"""What a program needs to speak to Catena, on Python's own library alone.

Each POST has an Idempotency-Key. A program that got no answer sends the same request with the same
key again; here whatever goes wrong ends the example, with a sentence.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

__all__ = ["Caller", "connect", "dollars"]


_NOT_FOR_US = {400, 401, 403, 503}
"""Statuses of a service, a ledger or a key with which the stories cannot be told."""


class Caller:
    """Asks the service at an address, and prints what it is asked and how it answers."""

    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def get(self, path: str) -> Any:
        """Read."""
        with self._open(Request(self._address + path, headers=self._headers)) as answer:
            return json.load(answer)

    def post(self, path: str, body: object, *, wait: int = 0) -> Any:
        """Write, and print the status. `wait`: seconds that a chain may take to end."""
        headers = {**self._headers, "Idempotency-Key": uuid.uuid4().hex, "Prefer": f"wait={wait}"}
        request = Request(self._address + path, json.dumps(body).encode(), headers)
        try:
            with self._open(request) as answer:
                found, status = json.load(answer), answer.status
        except HTTPError as problem:  # an RFC 9457 document: its `code` is for programs
            found, status = json.load(problem), problem.code
            if status in _NOT_FOR_US:
                sys.exit(f"{found['title']}. {found['detail']}")
        said = found.get("state") or found.get("code") or ""
        print(f"  POST {_shorten(path)} {status} {said}".rstrip())
        for error in found.get("errors", ()):
            print(f"    {error['pointer']}: {error['detail']}")
        return found

    def follow(self, chain: str) -> Iterator[dict[str, Any]]:
        """Every transition of a chain as it happens (server-sent events), until it has ended."""
        path = f"{self._address}/v1/chains/{chain}/progress"
        with self._open(Request(path, headers=self._headers)) as stream:
            for line in stream:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    def _open(self, request: Request) -> Any:
        """The answer. Ends the example where nobody listens."""
        try:
            return urlopen(request)
        except HTTPError:
            raise
        except URLError as error:
            sys.exit(f"No service answers at {self._address} ({error.reason}). Start it: make up")

    def open_wallet(self, user: str, funded: int = 0) -> str:
        """A new wallet in dollars with so many cents in it; gives its id."""
        wallet: str = self.post("/v1/accounts", {"currency": "USD", "user_id": user})["id"]
        if funded:
            self.post("/v1/deposits", {"account_id": wallet, "amount": funded, "currency": "USD"})
        return wallet

    def show(self, **accounts: str) -> None:
        """Print what each account has."""
        for name, account in accounts.items():
            found = self.get(f"/v1/accounts/{account}/balance")
            posted, available = dollars(found["posted"]), dollars(found["available"])
            print(f"    {name:<8} posted {posted:>7}   available {available:>7}")


def connect(arguments: Sequence[str] = tuple(sys.argv[1:])) -> Caller:
    """The service at the address that was given, else where `catena up` listens; and its key."""
    address = arguments[0] if arguments else "http://127.0.0.1:8080"
    key = Path(arguments[1] if len(arguments) > 1 else ".catena/api-key")
    try:
        return Caller(address, key.read_text("ascii").strip())
    except OSError:
        sys.exit(f"There is no key in {key}. Start the service (make up), or name the key's file.")


def dollars(cents: int) -> str:
    """Cents as people write them. Amounts are whole numbers everywhere; no float touches them."""
    return f"{cents // 100}.{cents % 100:02}"


def _shorten(path: str) -> str:
    """The path without its ids."""
    return "/".join("{id}" if "_" in part else part for part in path.split("/"))
