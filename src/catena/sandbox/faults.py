"""Faults to order: the next requests to a path are answered as one of the magic wires has it.

Invariant: a fault is used up by the requests that it is for, the oldest fault first, and reaches
neither the clock nor the faults nor what tests ask about.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from catena.sandbox.magic import WIRES, Wire
from catena.sandbox.refusals import Refusal

__all__ = ["Fault", "Faults"]


class Fault(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/faults`: the next `count` requests with this method, if one is named, to paths that
    begin so.
    """

    wire: str
    count: int = 1
    method: str = ""
    path: str = "/v1/"


class Faults:
    """Those that are not used up."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def order(self, fault: Fault) -> None:
        """Add one. Raises Refusal."""
        if fault.wire not in WIRES:
            raise Refusal("unknown_magic", "There is no such wire.")
        if fault.count < 1:
            raise Refusal("invalid_request", "A fault is for one request or more.")
        self._faults.append(fault)

    def clear(self) -> None:
        """Forget them all."""
        self._faults.clear()

    def list(self) -> Sequence[Fault]:
        """Those that are left."""
        return self._faults

    def take(self, method: str, path: str) -> Wire | None:
        """How this request is answered, if a fault is for it."""
        if not self._faults:
            return None
        for fault in self._faults:
            if path.startswith(fault.path) and fault.method in ("", method):
                fault.count -= 1
                if not fault.count:
                    self._faults.remove(fault)
                return WIRES[fault.wire]
        return None
