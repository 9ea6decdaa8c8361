"""A bank's web server on loopback that answers as it is told, path by path.

Invariant: every request is kept as it came, and one without an answer is hung up on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["BankServer", "run_bank_server"]


@dataclass
class BankServer:
    """What listens at `url`. `answers`: status and body by method and path."""

    url: str
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def run_bank_server() -> Iterator[BankServer]:
    """Run the server; it ends with the block."""
    bank = BankServer("")

    class Answering(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", "0")))
            asked = f"{self.command} {self.path}"
            headers = {name.lower(): value for name, value in self.headers.items()}
            bank.heard.append((asked, headers, content))
            if asked not in bank.answers:
                return
            status, body = bank.answers[asked]
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its own name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    bank.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield bank
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
