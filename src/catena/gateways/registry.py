"""The gateways of an installation: each is a connection of one ledger, under a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from catena.gateways.contract import Gateway
from catena.ids import GATEWAY, derive_id

__all__ = ["Connection", "Gateways", "connection_id"]


class Connection(NamedTuple):
    """A gateway of a ledger. `id` is what its webhooks are sent to."""

    id: str
    ledger: str
    gateway: Gateway


def connection_id(ledger: str, name: str) -> str:
    """The id that the gateway with this name always has in this ledger."""
    return derive_id(GATEWAY, ledger, name)


class Gateways:
    """All of them, by ledger and name."""

    def __init__(self, gateways: Iterable[tuple[str, Gateway]] = ()) -> None:
        self._by_place: dict[tuple[str, str], Connection] = {}
        self._by_id: dict[str, Connection] = {}
        for ledger, gateway in gateways:
            self.add(ledger, gateway)

    def add(self, ledger: str, gateway: Gateway) -> Connection:
        """Take one in. Raises ValueError where the ledger has one of that name."""
        if (ledger, gateway.name) in self._by_place:
            raise ValueError(f"Two gateways of one ledger are called {gateway.name}.")
        made = Connection(connection_id(ledger, gateway.name), ledger, gateway)
        self._by_place[ledger, gateway.name] = self._by_id[made.id] = made
        return made

    def find(self, ledger: str, name: str) -> Gateway | None:
        """The ledger's gateway with this name."""
        found = self._by_place.get((ledger, name))
        return None if found is None else found.gateway

    def find_id(self, id: str) -> Connection | None:
        """The one that webhooks with this id are of."""
        return self._by_id.get(id)

    def names(self, ledger: str) -> list[str]:
        """What the ledger's are called."""
        return [name for of, name in self._by_place if of == ledger]

    def __iter__(self) -> Iterator[Connection]:
        """Every one, in the order in which they were taken in."""
        return iter(self._by_place.values())
