"""Banks as an installation lists them: each becomes a rail, and where work is done, its rounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from catena.errors import SetupError
from catena.flows.bank.rail import Rail
from catena.flows.bank.rounds import Rounds
from catena.gateways.bank.options import build_road, check_road, read_options

if TYPE_CHECKING:
    from catena.clock import Clock
    from catena.db.installation import Ledger
    from catena.flows.notices import Intake
    from catena.gateways.config import GatewayConfig
    from catena.gateways.contract import Gateway
    from catena.outside.client import OutsideClient
    from catena.settings import Settings

__all__ = ["Banks"]


class Banks:
    """The bank accounts of this process. `client` takes answers of `bank_file_bytes`."""

    def __init__(
        self, intake: Intake, settings: Settings, clock: Clock, client: OutsideClient
    ) -> None:
        self._intake = intake
        self._settings = settings
        self._clock = clock
        self._client = client
        self._rails: list[Rail] = []
        self._rounds: Rounds | None = None

    def connect(self, ledger: Ledger, config: GatewayConfig) -> Gateway:
        """The bank account as a gateway; nothing is asked of it yet. Raises SetupError."""
        options = read_options(config.name, config.options)
        if options.delivery_seconds >= self._settings.bank_lease_seconds:
            raise SetupError(
                f"The gateway {config.name}: `timeout_seconds` must be shorter than"
                f" CATENA_BANK_LEASE_SECONDS ({self._settings.bank_lease_seconds:g}): else files"
                " are delivered by two at once."
            )
        for other in self._rails:
            if options.numbers & other.options.numbers:
                raise SetupError(
                    f"The gateway {config.name}: {other.name} has the same account, so money that"
                    " comes in would be credited by both."
                )
            if options.folder is not None and options.folder == other.options.folder:
                raise SetupError(
                    f"The gateway {config.name}: {other.name} has the same `folder`, so each would"
                    " take files of the other's."
                )
        check_road(config.name, options)
        rail = Rail(
            config.name,
            ledger,
            options,
            build_road(options, self._client, self._settings.bank_file_bytes),
            self._intake.pool,
            self._intake,
            self._settings,
            self._clock,
        )
        self._rails.append(rail)
        if self._rounds is not None:
            self._rounds.add(rail)
        return rail.connect()

    def work(self) -> Callable[[], Awaitable[None]]:
        """Make the rounds, for those that are there and those that come; gives what stops them."""
        self._rounds = Rounds()
        for rail in self._rails:
            self._rounds.add(rail)
        return self._rounds.close
