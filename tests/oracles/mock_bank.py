"""A bank for tests: mock-bank as a process of its own, and the road to it that we have built.

Invariant: what is done to it goes over its own HTTP; what is known of it comes by its files.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from catena.gateways.bank.bookings import Booking, StatementEnd, read_bookings
from catena.gateways.bank.camt import Kind, Statement
from catena.gateways.bank.gaps import Closing, Gap, close_statement, find_gaps
from catena.gateways.bank.orders import Debtor, FileHeader, PayoutOrder
from catena.gateways.bank.pacs004 import read_pacs004
from catena.gateways.bank.pain001 import Version, block_ids, build_pain001
from catena.gateways.bank.pain002 import notices_of_report, read_pain002
from catena.gateways.bank.reading import cut
from catena.gateways.bank.references import end_to_end_id, message_id
from catena.gateways.bank.transport import BankTransport, Delivered
from catena.gateways.contract import Notice, StatementLine

__all__ = [
    "ACME",
    "CLOSED",
    "OTHER",
    "WRONG_BANK",
    "MockBank",
    "Rail",
    "ask_reader",
    "run_mock_bank",
]

ACME = Debtor("ACME Corporation", "NL41MOCK0000000001", "MOCKNL2AXXX")
OTHER, CLOSED, WRONG_BANK = "NL30MOCK0000000005", "NL84MOCK0000000003", "NL57MOCK0000000004"
NOON = dt.datetime(2026, 9, 30, 9, tzinfo=dt.UTC)
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_READER = Path(__file__).with_name("bank_reader.py")


def ask_reader(word: str, *files: Path) -> list[Any]:
    """What others' readers say of these files."""
    python = Path(shutil.which("mock-bank") or sys.executable).with_name("python")
    command = [str(python), str(_READER), word, *map(str, files)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


@dataclass(frozen=True)
class MockBank:
    """The running program. Its own clock stands until it is told to go on."""

    url: str
    http: httpx2.Client

    def tell(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  # any JSON
        """Ask the program itself for something that no bank would do."""
        content = b"" if body is None else json.dumps(body).encode()
        answer = self.http.request(method, self.url + path, content=content)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def behave(self, behaviour: str, account: str = "ACME", **parameters: object) -> None:
        """Have an account behave so."""
        body = {"behaviour": behaviour, "parameters": parameters}
        self.tell("PATCH", f"/_mock/accounts/{account}", body)

    def advance(self, to: str) -> None:
        """Let days pass, until the beginning of this one."""
        self.tell("POST", f"/_mock/advance?to={to}")


@contextmanager
def run_mock_bank(*options: str) -> Iterator[MockBank]:
    """Run the program on a port of its own."""
    command = ("mock-bank", "--port", "0", "--clock", "2026-09-30T09:00", *options)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert found is not None
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            with httpx2.Client(verify=_NO_TLS, trust_env=False) as http:
                yield MockBank(found[0], http)
        finally:
            process.terminate()


@dataclass
class Rail:
    """What an engine would keep: orders in files, and what the bank has said of them."""

    transport: BankTransport
    folder: Path
    files: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    notices: list[Notice] = field(default_factory=list)
    lines: list[StatementLine] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    closing: Closing | None = None

    def seal(
        self,
        wishes: dict[str, tuple[int, str]],
        day: str = "2026-10-01",
        version: Version = Version.V09,
    ) -> str:
        """Make a file of amounts and accounts by key; gives its message id."""
        id = message_id(f"file-{len(self.files)}")
        orders = [
            PayoutOrder(
                key,
                end_to_end_id(key),
                amount,
                "EUR",
                f"Payee {key}",
                iban,
                dt.date.fromisoformat(day),
            )
            for key, (amount, iban) in wishes.items()
        ]
        content = build_pain001(FileHeader(id, NOON, ACME.name, ACME), orders, version)
        self.files[id] = content, block_ids(id, orders)
        return id

    async def deliver(self, id: str) -> Delivered:
        """Bring a file to the bank."""
        return await self.transport.deliver(id, self.files[id][0])

    async def receive(self) -> Sequence[Notice]:
        """Read what the bank has for us; gives what is new in it, in order."""
        before = len(self.notices)
        for name in await self.transport.list_files():
            if name in self.read:
                continue
            content = await self.transport.read_file(name)
            (self.folder / f"{name}.kept").write_bytes(content)
            self._take(content)
            self.read.add(name)
            await self.transport.acknowledge(name)
        return self.notices[before:]

    def _take(self, content: bytes) -> None:
        if b"xsd:pain.002." in content:
            report = read_pain002(cut(content))
            _, blocks = self.files.get(report.message_id or "", (b"", {}))
            self.notices += notices_of_report(report, blocks)
        elif b"xsd:pacs.004." in content:
            self.notices += read_pacs004(cut(content))
        else:
            for part in read_bookings(cut(content)):
                if isinstance(part, Booking):
                    self.notices += part.notices
                    self.lines += part.lines
                elif isinstance(part, StatementEnd) and part.statement.kind is Kind.STATEMENT:
                    self._close(part.statement, part)

    def _close(self, statement: Statement, end: StatementEnd) -> None:
        if statement.account != ACME.iban:
            return
        self.gaps += find_gaps(self.closing, statement, end.net, end.entries)
        self.closing = close_statement(statement)

    def kept(self) -> list[Path]:
        """Every file that has come."""
        return sorted(self.folder.glob("*.kept"))
