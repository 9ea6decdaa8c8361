"""A bank for tests: it takes pain.001 by HTTP, and puts what it says of them into a mailbox.

Invariant: it takes a message id once, and counts every payment that it makes by EndToEndId; a file
stays in the mailbox until it is acknowledged. It is written from the schemas, not from our reader.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.gateways.bank.bank_files import (
    ACCOUNT,
    balance,
    detail,
    document,
    element,
    entry,
    statement,
)

__all__ = ["ACCOUNT", "CLOSED", "OTHER", "STANDING", "BankDouble", "Payment", "run_bank"]

OTHER: Final = "DE89370400440532013000"
STANDING: Final = 100_000_000
"""What is on the account at first."""

CLOSED: Final = "NL91ABNA0417164300"
"""An account that is closed: what is sent there is rejected."""

_ORDER: Final = re.compile(rb"<CdtTrfTxInf>.*?</CdtTrfTxInf>", re.DOTALL)


def _text(content: bytes, path: str) -> str:
    found = re.search(rb"<" + path.encode() + rb"[^>]*>([^<]*)<", content)
    assert found is not None, path
    return found[1].decode()


@dataclass(frozen=True)
class Payment:
    """An order as the bank has read it. `amount` in minor units."""

    end_to_end_id: str
    amount: int
    iban: str
    block: str


@dataclass
class BankDouble:
    """The bank. `taken`: files by message id; `made`: how often each payment was made; `booked` and
    `rejected` by EndToEndId. `stuck`: requests by kind that are done and never answered. `wires`:
    how the next requests of a kind go: "lose" does it and answers nothing, "drop" does not even do
    it, a status is answered instead of doing it. `user`: whom alone it knows, where it asks.
    `is_short`: there is not enough on the account.
    """

    url: str = ""
    taken: dict[str, bytes] = field(default_factory=dict)
    received: list[bytes] = field(default_factory=list)
    payments: dict[str, Payment] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)
    mailbox: dict[str, bytes] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    wires: dict[str, list[str]] = field(default_factory=dict)
    user: str = ""
    refuses: bool = False
    is_short: bool = False
    speaks: bool = True
    standing: int = STANDING
    asked: Counter[str] = field(default_factory=Counter)
    freed: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)
    number: int = 0

    # --- what comes ----------------------------------------------------------------------------

    def find_wire(self, kind: str, credentials: str | None) -> str:
        """How this request goes; "": well."""
        known = "Basic " + b64encode(f"{self.user}:".encode()).decode()
        if self.user and credentials != known:
            return "401"
        return self.wires[kind].pop(0) if self.wires.get(kind) else ""

    def take(self, content: bytes) -> tuple[int, dict[str, Any]]:
        """Take a file, as a bank would; gives the status and what is said."""
        self.received.append(content)
        id = _text(content, "MsgId")
        if id in self.taken:
            assert self.taken[id] == content, "the same message id with other content"
            return 422, {"status": "RJCT", "reason": "DUPL", "msg_id": id}
        self.taken[id] = content
        if self.refuses:
            return 422, {"status": "RJCT", "reason": "FF01", "msg_id": id}
        block = _text(content, "PmtInfId")
        for part in _ORDER.findall(content):
            amount = int(Decimal(_text(part, "InstdAmt")).scaleb(2))
            iban = _text(part, "CdtrAcct><Id><IBAN")
            name = _text(part, "EndToEndId")
            if iban == CLOSED or self.is_short:
                self.rejected[name] = "AC04" if iban == CLOSED else "AM04"
            else:
                self.payments[name] = Payment(name, amount, iban, block)
                self.made[name] += 1
        if self.speaks:
            self.report(id, block)
        return 202, {"status": "ACCP", "msg_id": id}

    # --- what it says --------------------------------------------------------------------------

    def put(self, content: bytes, name: str | None = None) -> str:
        """Put a file into the mailbox; gives its name."""
        with self.lock:
            self.number += 1
            name = name or f"file-{self.number:05d}"
            self.mailbox[name] = content
        return name

    def report(self, id: str, block: str) -> None:
        """Say what becomes of each order of a file."""
        content = self.taken[id]
        said = []
        for part in _ORDER.findall(content):
            name = _text(part, "EndToEndId")
            code = self.rejected.get(name)
            status = "RJCT" if code else "ACCP"
            said.append(
                "<TxInfAndSts>"
                + element("OrgnlEndToEndId", name)
                + element("TxSts", status)
                + element("StsRsnInf/Rsn/Cd", code)
                + "</TxInfAndSts>"
            )
        self.say(id, element("OrgnlPmtInfId", block) + "".join(said))

    def reject(self, name: str, code: str = "AC04") -> None:
        """Reject an order, whatever was said of it before."""
        payment = self.payments[name]
        id = payment.block.rpartition("-")[0]
        said = element("OrgnlEndToEndId", name) + element("TxSts", "RJCT")
        said += element("StsRsnInf/Rsn/Cd", code)
        self.say(id, element("OrgnlPmtInfId", payment.block) + element("TxInfAndSts", said))

    def say(self, id: str, block: str, group: str = "") -> str:
        """A status report about a file."""
        own = f"RPT-{self.number}-{id}"
        return self.put(
            document(
                "pain.002.001.10",
                f"<CstmrPmtStsRpt><GrpHdr><MsgId>{own}</MsgId>"
                "<CreDtTm>2026-10-01T09:00:00Z</CreDtTm></GrpHdr>"
                f"<OrgnlGrpInfAndSts><OrgnlMsgId>{id}</OrgnlMsgId>"
                f"<OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>{group}</OrgnlGrpInfAndSts>"
                + element("OrgnlPmtInfAndSts", block or None)
                + "</CstmrPmtStsRpt>",
            )
        )

    def book(self, *names: str) -> None:
        """A day's statement in which these payments (none named: all) are booked."""
        with self.lock:
            wanted = names or tuple(self.payments)
            entries = [
                self.debit(self.payments[name], ref=f"PMT-{name}")
                for name in wanted
                if name in self.payments
            ]
            sums = [-self.payments[name].amount for name in wanted]
        self.close(entries, sum(sums))

    def debit(self, payment: Payment, ref: str) -> str:
        """An entry of a payment that was made."""
        told = detail("DBIT", _major(payment.amount), end_to_end=payment.end_to_end_id)
        return entry("DBIT", _major(payment.amount), told, ref=ref)

    def give_back(self, name: str, amount: int | None = None, reason: str = "MD07") -> None:
        """A statement in which a payment comes back, whole or in part."""
        self.come_back(name, self.payments[name].amount if amount is None else amount, reason)

    def come_back(self, name: str, came: int, reason: str = "MD07") -> None:
        """A statement in which money comes back that was sent by this name, here or elsewhere."""
        told = detail("CRDT", _major(came), end_to_end=name, reason=reason)
        self.close([entry("CRDT", _major(came), told, ref=f"RTR-{name}", sub="RRTN")], came)

    def book_block(self, block: str, count: int, amount: int) -> None:
        """A statement in which a payment block is booked as one, without its orders."""
        named = element("PmtInfId", block) + element("NbOfTxs", str(count))
        batch = element("Btch", named)
        self.close([entry("DBIT", _major(amount), batch=batch, ref=f"B-{block}")], -amount)

    def take_back(self, amount: int, ref: str) -> None:
        """A statement in which the bank takes back what it had credited."""
        self.close(
            [entry("DBIT", _major(amount), detail("DBIT"), ref=ref, reversal="true")], -amount
        )

    def credit(self, amount: int, ref: str, **told: str) -> None:
        """A statement in which money comes in."""
        said = detail("CRDT", _major(amount), **told)
        self.close([entry("CRDT", _major(amount), said, ref=ref, family="RCDT")], amount)

    def close(self, entries: list[str], net: int, missing: int = 0, **head: str) -> bytes:
        """A day's statement with these entries, which leaves so much out; gives it."""
        with self.lock:
            before, self.standing = self.standing, self.standing + net - missing
            self.number += 1
            content = statement(
                balance("OPBD", _major(before)),
                balance("CLBD", _major(self.standing)),
                *entries,
                id=f"STMT-{self.number}",
                electronic=str(self.number),
                **head,
            )
            self.number -= 1
            self.put(content)
        return content


def _major(minor: int) -> str:
    return f"{Decimal(minor).scaleb(-2):.2f}"


@contextmanager
def run_bank() -> Iterator[BankDouble]:
    """The bank on a free port of loopback, until the block ends."""
    bank = BankDouble()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _answering(bank))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    bank.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield bank
    finally:
        bank.freed.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _name_kind(method: str, path: str) -> str:
    return "GET list" if path == "/files" else f"{method} {path.split('/')[1]}"


def _answering(bank: BankDouble) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        def _serve(self, act: Callable[[], tuple[int, bytes]]) -> None:
            kind = _name_kind(self.command, self.path)
            with bank.lock:
                wire = bank.find_wire(kind, self.headers["authorization"])
                status, body = act() if wire in ("", "lose") else (wire, b"")
                bank.asked[kind] += 1
                stuck = kind in bank.stuck
            if stuck:  # it is done; nobody is told, and the connection stays
                bank.freed.wait()
                return
            if wire in ("lose", "drop"):
                self.close_connection = True
                return
            self.send_response(int(status))
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))

            def act() -> tuple[int, bytes]:
                status, said = bank.take(content)
                return status, json.dumps(said).encode()

            self._serve(act)

        def do_GET(self) -> None:
            def act() -> tuple[int, bytes]:
                if self.path == "/files":
                    return 200, json.dumps([{"id": name} for name in bank.mailbox]).encode()
                content = bank.mailbox.get(self.path.rpartition("/")[2])
                return (200, content) if content is not None else (404, b"")

            self._serve(act)

        def do_DELETE(self) -> None:
            def act() -> tuple[int, bytes]:
                gone = bank.mailbox.pop(self.path.rpartition("/")[2], None)
                return (204 if gone is not None else 404), b""

            self._serve(act)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its own name
            """Say nothing."""

    return Answering
