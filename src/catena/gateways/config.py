"""Which gateways an installation has: a TOML file, in which secrets are named and never stand.

[stripe]                        # the gateway's name: chains and webhooks call it so
kind = "stripe"                 # the adapter
ledger = "ldg_..."              # may be left out where there is one ledger alone
api_key = "env:STRIPE_API_KEY"  # the variable that holds it
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catena.errors import CatenaError, SetupError
from catena.gateways import sandbox, stripe
from catena.gateways.bank import options as bank
from catena.gateways.contract import Gateway
from catena.ids import GATEWAY_NAME, LEDGER, is_id

if TYPE_CHECKING:
    from catena.clock import Clock
    from catena.outside.client import OutsideClient

__all__ = ["GatewayConfig", "connect_gateway", "read_gateways"]

_ADAPTERS: Final[Mapping[str, Callable[..., Gateway]]] = {
    sandbox.KIND: sandbox.connect,
    stripe.KIND: stripe.connect,
}
_KINDS: Final = frozenset({*_ADAPTERS, bank.KIND})
"""A bank is more than an adapter: `flows.bank` connects it."""

_VARIABLE: Final = "env:"
_NAME: Final = re.compile(GATEWAY_NAME)


class GatewayConfig(NamedTuple):
    """One gateway. `ledger` None: the only one that there is. `options` are the adapter's."""

    name: str
    kind: str
    ledger: str | None
    options: Mapping[str, Any]


def read_gateways(path: Path, variables: Mapping[str, str]) -> list[GatewayConfig]:
    """What the file says, with the secrets that it names. Raises SetupError, which shows none."""
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupError(f"{path} cannot be read: {error}") from error
    return [_read(name, table, variables) for name, table in told.items()]


def _read(name: str, table: object, variables: Mapping[str, str]) -> GatewayConfig:
    if not _NAME.fullmatch(name):
        raise SetupError(
            f"The gateway {name!r}: a name is small letters, digits and hyphens, at most 30."
        )
    if not isinstance(table, dict) or not isinstance(table.get("kind"), str):
        raise SetupError(f"The gateway {name}: `kind` says which adapter it has.")
    options = dict(table)
    kind, ledger = options.pop("kind"), options.pop("ledger", None)
    if kind not in _KINDS:
        raise SetupError(f"The gateway {name}: its kind is one of {', '.join(sorted(_KINDS))}.")
    if ledger is not None and not is_id(LEDGER, ledger):
        raise SetupError(f"The gateway {name}: `ledger` is an id that starts with {LEDGER}.")
    found = {option: _resolve(name, value, variables) for option, value in options.items()}
    return GatewayConfig(name, kind, ledger, found)


def _resolve(name: str, value: object, variables: Mapping[str, str]) -> object:
    if isinstance(value, list):
        return [_resolve(name, one, variables) for one in value]
    if not isinstance(value, str) or not value.startswith(_VARIABLE):
        return value
    variable = value.removeprefix(_VARIABLE)
    if not variables.get(variable):
        raise SetupError(f"The gateway {name}: the variable {variable} is not set.")
    return variables[variable]


def connect_gateway(config: GatewayConfig, client: OutsideClient, clock: Clock) -> Gateway:
    """A connection to it; nothing is asked of it yet. Raises SetupError."""
    try:
        return _ADAPTERS[config.kind](config.name, **config.options, client=client, clock=clock)
    except SetupError:
        raise
    except CatenaError as error:
        raise SetupError(f"The gateway {config.name}: {error.detail}") from error
    except (TypeError, AttributeError) as error:  # the latter: of an option that is no text
        told = str(error).partition(") ")[2] or str(error)
        raise SetupError(f"The gateway {config.name}: {told}") from error
