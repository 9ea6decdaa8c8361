"""The bank on the rig: orders in PostgreSQL, files to a bank and back; the rig makes the rounds.

It says nothing by webhook, and stops nothing that has left. Invariant: nothing goes on beside a
test: files leave and come when time passes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from catena.chains.step_types import Catalogue
from catena.clock import Clock, system_clock
from catena.db.bank_inbox import end_turn, take_turn
from catena.flows.bank.mailbox import fetch_files
from catena.flows.bank.rail import Rail
from catena.flows.bank.reading import read_files
from catena.flows.bank.sealing import deliver_due, seal_due
from catena.flows.notices import Intake
from catena.gateways.bank.options import build_road, read_options
from catena.gateways.bank.references import end_to_end_id
from catena.gateways.contract import Capability, Gateway
from catena.outside.client import OutsideClient
from catena.settings import Settings
from tests.flows.bank.double import ACCOUNT, CLOSED, OTHER, BankDouble, run_bank
from tests.flows.bank.running import BANK, http_road, to_iban
from tests.gateways.contract import Rig, Wish
from tests.gateways.receiver import Receiver
from tests.postgres import Database
from tests.scribe import Scribe, open_ledger

__all__ = ["BankRig", "FolderRig", "run_bank_rig", "run_folder_rig"]

_SETTINGS: Final = Settings(allow_private_addresses=True)
_USER: Final = "acme"
_RETURNED: Final = "FI2112345600000785"
"""An account whose bank sends back whatever comes."""

_IBANS: Final[Mapping[Wish, str]] = {
    Wish.APPROVES: OTHER,
    Wish.PENDS: OTHER,
    Wish.PENDS_DECLINES: CLOSED,
    Wish.LOSES_ANSWER: OTHER,
    Wish.LOSES_REQUEST: OTHER,
    Wish.COMES_LATER: OTHER,
    Wish.BREAKS: OTHER,
    Wish.FAILS: _RETURNED,
}
_WIRES: Final[Mapping[Wish, str]] = {
    Wish.LOSES_ANSWER: "lose",
    Wish.LOSES_REQUEST: "drop",
    Wish.COMES_LATER: "429",
    Wish.BREAKS: "500",
}
"""How the next file goes to the bank."""

_NOW: Final = "UPDATE bank_files SET due_at = now() WHERE state = 'sealed'"
"""The pause after a failure is over."""


@dataclass
class BankRig(Rig):
    """A bank account, and one connection to its bank."""

    bank: BankDouble
    scribe: Scribe
    client: OutsideClient
    hooks: Receiver = field(default_factory=Receiver)
    clock: Clock = system_clock
    currency: str = "EUR"
    gateway: Gateway = field(init=False)
    rails: list[Rail] = field(default_factory=list)
    booked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Connect."""
        self.bank.user = _USER
        self.gateway = self._connect()

    def _connect(self, **more: object) -> Gateway:
        told = {"iban": ACCOUNT, "owner": "ACME Corporation", "file_seconds": 0}
        told |= {**self.road(), **more}
        options = read_options(BANK, told)
        rail = Rail(
            BANK,
            self.scribe.ledger,
            options,
            build_road(options, self.client, _SETTINGS.bank_file_bytes),
            self.scribe.pool,
            Intake(self.scribe.pool, self.scribe.journal, Catalogue([])),
            _SETTINGS,
            self.clock,
        )
        self.rails.append(rail)
        return rail.connect()

    def road(self) -> Mapping[str, object]:
        """The way to the bank, as its options say it."""
        return {**http_road(self.bank), "user": _USER}

    def carry(self) -> None:
        """Files go both ways by themselves."""

    def method(self, capability: Capability, wish: Wish) -> Mapping[str, Any] | None:
        """By IBAN, and by what happens to the next file."""
        if capability is not Capability.PAYOUT or wish not in _IBANS:
            return None
        if wish in _WIRES:
            self.bank.wires["POST payments"] = [_WIRES[wish]]
        return to_iban(_IBANS[wish])

    async def pass_time(self) -> None:
        """Files leave, those that failed once more; a day is booked; what comes is read."""
        for rail in reversed(self.rails):  # who reaches the bank comes last
            await seal_due(rail)
            for _ in range(2):
                async with rail.pool.acquire() as connection:
                    await connection.execute(_NOW)
                await deliver_due(rail)
        self.carry()
        self._book()
        self.carry()
        rail = self.rails[0]
        for task, work in (("mailbox", fetch_files), ("reading", read_files)):
            async with rail.pool.acquire() as connection:
                turn = await take_turn(connection, rail.ledger.number, BANK, task, 60.0)
            assert turn is not None
            await work(rail, turn)
            async with rail.pool.acquire() as connection:
                await end_turn(connection, rail.ledger.number, BANK, turn, 0.0)

    def _book(self) -> None:
        """What the bank has and has not booked yet; then what comes back of it."""
        fresh = [one for one in self.bank.payments.values() if one.end_to_end_id not in self.booked]
        for one in fresh:
            self.booked.add(one.end_to_end_id)
            self.bank.book(one.end_to_end_id)
        for one in fresh:
            if one.iban == _RETURNED:
                self.bank.give_back(one.end_to_end_id)

    async def finish_action(self, reference: str) -> None:
        """Nobody must act."""

    async def forget_keys(self) -> None:
        """It never does: an EndToEndId is stored for good."""

    async def count_effects(self, key: str) -> int:
        """By the bank's own count."""
        return self.bank.made[end_to_end_id(key)]

    def sign(self, body: bytes) -> None:
        """It signs nothing."""

    def unreachable(self) -> Gateway:
        """At a port where nobody listens."""
        return self._connect(payments_url="http://127.0.0.1:9/payments")

    def stranger(self) -> Gateway:
        """As somebody whom the bank does not know."""
        return self._connect(user="stranger")


@dataclass
class FolderRig(BankRig):
    """The same bank by the road of a folder: a client of SFTP or EBICS carries the files."""

    folder: Path = field(kw_only=True)

    def road(self) -> Mapping[str, object]:
        """A folder of its own."""
        return {"folder": str(self.folder)}

    def carry(self) -> None:
        """What is in `out/` the bank takes, once; what it has is put into `in/`, whole."""
        for file in sorted(self.folder.glob("out/*.xml")):
            self.bank.take(file.read_bytes())
            file.unlink()
        for name in sorted(self.bank.mailbox):
            draft = self.folder / "in" / f"{name}.part"
            draft.write_bytes(self.bank.mailbox.pop(name))
            draft.rename(draft.with_suffix(""))

    def method(self, capability: Capability, wish: Wish) -> Mapping[str, Any] | None:
        """By IBAN; nothing is lost on the way into a folder."""
        return None if wish in _WIRES else super().method(capability, wish)

    def unreachable(self) -> Gateway:
        """A mount that is gone."""
        return self._connect(folder=str(self.folder / "gone"))

    def stranger(self) -> Gateway:
        """A folder that one may not write into."""
        shut = self.folder / "shut"
        shut.mkdir(exist_ok=True)
        (shut / "out").touch()  # that is no folder: also who may do everything cannot
        return self._connect(folder=str(shut))


@asynccontextmanager
async def run_folder_rig(database: Database) -> AsyncIterator[FolderRig]:
    """A bank, and an account at it whose files go by a folder."""
    with TemporaryDirectory() as place, run_bank() as bank:
        async with open_ledger(database) as scribe, OutsideClient(_SETTINGS) as client:
            yield FolderRig(bank, scribe, client, folder=Path(place))


@asynccontextmanager
async def run_bank_rig(database: Database) -> AsyncIterator[BankRig]:
    """A bank, and an account at it in a ledger of its own."""
    with run_bank() as bank:
        async with open_ledger(database) as scribe, OutsideClient(_SETTINGS) as client:
            yield BankRig(bank, scribe, client)
