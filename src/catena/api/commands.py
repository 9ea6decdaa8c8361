"""What chains are told over HTTP: the guard of each command, and the answer that all of them give.

Invariant: a command is decided under the chain's version; one that is refused changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from catena.api.bodies import Body
from catena.api.chain_views import view_chain
from catena.api.views import encode
from catena.api.writes import Context, Reply, Write
from catena.auth.scopes import Scope
from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.refusals import ChainRefusal, ChainRefused, Command, refuse
from catena.ids import CHAIN, parse_id
from catena.journal import ChainResult, Operation, Result, RunChain

__all__ = [
    "Act",
    "chain_of",
    "chain_reply",
    "command",
    "guarded",
    "on_chain",
    "render_chain",
    "telling",
]

Act = Callable[[Chain, Books], Any]
"""What is done to a chain; gives a refusal, or whatever else."""


def chain_of(results: Sequence[Result]) -> Chain:
    """The chain right after the one operation of a request."""
    result = results[0]
    assert isinstance(result, ChainResult)  # noqa: S101  # refusals are problems
    chain = result.chain
    assert chain is not None  # noqa: S101  # every command is an event
    return chain


def chain_reply(chain: Chain, context: Context, status: int = 200) -> Reply:
    """The chain: with `status` where it has nothing to do by itself, else 202 (Accepted)."""
    waits = chain.number and (chain.is_ended or chain.state in ("created", "held"))
    location = (b"location", b"/v1/chains/" + chain.id.encode())
    body = encode(view_chain(chain, context.ledger.id))
    return Reply(status if waits else 202, body, (location,))


def render_chain(results: Sequence[Result], context: Context) -> Reply:
    """The answer to a command."""
    return chain_reply(chain_of(results), context)


def guarded(command: Command, act: Act) -> Act:
    """The act, unless the chain as it stands refuses the command."""

    def run(chain: Chain, books: Books) -> Any:  # noqa: ANN401  # the act's own
        return refuse(chain, command) or act(chain, books)

    return telling(run)


def telling(act: Act) -> Act:
    """The act; where it finds nothing to do, as when a chain that is to fail has to wait for its
    pivot already, it is refused: each answer of a key is an event or a refusal.
    """

    def run(chain: Chain, books: Books) -> Any:  # noqa: ANN401  # the act's own
        value = act(chain, books)
        if value is None and not chain.new:
            return ChainRefused(ChainRefusal.CHAIN_NOT_RUNNING, chain.id)
        return value

    return run


def on_chain(
    context: Context, act: Act, accounts: Collection[str] = (), entries: Collection[str] = ()
) -> Sequence[Operation]:
    """The operation that does this to the chain of the path."""
    id = parse_id(CHAIN, context.params["chain_id"])
    return (RunChain(id, act, accounts=accounts, entries=entries),)


def command(
    name: str, model: type[Body], scope: Scope, act: Callable[[Any, Context], Act]
) -> Write:
    """The write of a command. `act`: of a request and for whom it is."""
    return Write(name, model, scope, lambda r, c: on_chain(c, act(r, c)), render_chain)
