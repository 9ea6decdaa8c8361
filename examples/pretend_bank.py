"""A bank that pays out over HTTP, on this machine alone, for the example `payout.py`.

It does what Catena relies on in a partner: acts once for each Idempotency-Key, and answers a key
that comes again as it answered first.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["open_bank"]

CLOSED_ACCOUNT = "XX00"


class _Desk(BaseHTTPRequestHandler):
    """Takes payouts: POST with `iban`, `amount` and `currency`."""

    protocol_version = "HTTP/1.1"
    answers: dict[str, dict[str, str]]

    def do_POST(self) -> None:
        """Pay, unless the key was seen before."""
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers["idempotency-key"]
        closed = order["iban"] == CLOSED_ACCOUNT
        answer = (
            {"status": "declined", "code": "account_closed"}
            if closed
            else {"status": "approved", "id": "T-1"}
        )
        body = json.dumps(self.answers.setdefault(key, answer)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def open_bank() -> Iterator[str]:
    """Serve until the block ends; gives the URL for payouts."""
    desk = type("Desk", (_Desk,), {"answers": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), desk) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/payouts"
        server.shutdown()
