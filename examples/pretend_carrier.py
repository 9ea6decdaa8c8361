"""A carrier that books parcels over HTTP, on this machine alone, for the example `shipping.py`.

`python examples/pretend_carrier.py 8090` serves until Ctrl-C. It does not go to Atlantis, and to
Farway its line breaks: it books, and nobody is told.
"""

from __future__ import annotations

import contextlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_BOOKINGS: Final[dict[str, dict[str, str]]] = {}
_BY_KEY: Final[dict[str, str]] = {}


class _Desk(BaseHTTPRequestHandler):
    """`POST /bookings`, `GET` and `DELETE /bookings/{id}`, `GET /bookings/by-key/{key}`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Book a parcel, once for each key."""
        wanted = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if wanted["town"] == "Atlantis":
            self._answer(422, {"code": "no_such_town"})
            return
        key = self.headers["idempotency-key"]
        if key not in _BY_KEY:
            id = _BY_KEY[key] = f"B-{len(_BOOKINGS) + 1}"
            _BOOKINGS[id] = {"id": id, "state": "booked", **wanted}
        if wanted["town"] == "Farway":
            self.close_connection = True
            return
        self._answer(201, _BOOKINGS[_BY_KEY[key]])

    def do_GET(self) -> None:
        """A booking by its id or its key, or all of them."""
        if self.path == "/bookings":
            self._answer(200, _BOOKINGS)
            return
        last = self.path.rpartition("/")[2]
        self._answer_for(_BY_KEY.get(last, "") if "/by-key/" in self.path else last)

    def do_DELETE(self) -> None:
        """Cancel a booking."""
        id = self.path.rpartition("/")[2]
        if id in _BOOKINGS:
            _BOOKINGS[id]["state"] = "cancelled"
        self._answer_for(id)

    def _answer_for(self, id: str) -> None:
        found = _BOOKINGS.get(id)
        self._answer(200 if found else 404, found or {"code": "no_such_booking"})

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve on the port that is named, or any."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with ThreadingHTTPServer(("127.0.0.1", port), _Desk) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
