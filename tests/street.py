"""A partner on loopback for API tests: what it answers is said by the path that is called.

`/approve` and `/decline` say so, `/pending` has taken it, `/silence` hangs up unanswered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["call", "run_street"]

_ANSWERS = {
    "/approve": (200, {"status": "approved", "amount": 7}),
    "/decline": (200, {"status": "declined", "code": "card_expired"}),
    "/pending": (202, {"status": "pending"}),
}


class _Partner(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path == "/silence":
            self.close_connection = True
            return
        status, body = _ANSWERS[self.path]
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its own name
        """Say nothing."""


@contextmanager
def run_street() -> Iterator[str]:
    """Run the partner; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Partner)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def call(name: str, url: str, **more: object) -> dict[str, Any]:
    """A step that calls the partner, and says that nothing needs undoing unless told otherwise."""
    step = {"name": name, "type": "http", "inputs": {"url": url}, **more}
    if not step.get("pivot"):
        step.setdefault("compensation", {"type": "none"})
    return step
