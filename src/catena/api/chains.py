"""What callers tell chains: create, open, append, start, signal, cancel, hold, resume, reject."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final, Literal

from pydantic import Field

from catena.api.bodies import (
    STEP_PATTERN,
    Body,
    JsonValue,
    Metadata,
    SearchReference,
    Seconds,
    Text,
)
from catena.api.commands import (
    Act,
    chain_of,
    chain_reply,
    command,
    guarded,
    on_chain,
    render_chain,
)
from catena.api.plans import explain_flaws, place_steps, read_plan
from catena.api.steps import AnyStep, ChainType
from catena.api.writes import Context, Reply, Write
from catena.auth.scopes import Scope
from catena.chains import machine
from catena.chains.appending import append_steps
from catena.chains.books import Books
from catena.chains.chain import Chain
from catena.chains.definition import Definition
from catena.chains.history import Failure
from catena.chains.needs import named_accounts, named_entries, system_accounts
from catena.chains.refusals import ChainRefused, Command, refuse_signal
from catena.errors import InvalidInput
from catena.ids import CHAIN, new_id
from catena.journal import CreateChain, Operation, Result
from catena.settings import LIMITS

__all__ = [
    "APPEND",
    "CANCEL",
    "CREATE",
    "HOLD",
    "REJECT",
    "RESUME",
    "SIGNAL",
    "START",
    "ChainRequest",
    "ReasonRequest",
    "definition_of",
]

_SIGNAL: Final = re.compile(STEP_PATTERN[1:-1])


_Steps = Annotated[list[AnyStep], Field(max_length=LIMITS.chain_steps)]


class ChainRequest(Body):
    """A chain: steps that happen all or not at all, in the order that they depend on each other."""

    type: ChainType = "chain"
    reference: SearchReference | None = None
    description: Text | None = None
    metadata: Metadata | None = None
    timeout_seconds: Annotated[
        Seconds | None, Field(description="From its start; then it fails and is rolled back.")
    ] = None
    start: Annotated[
        bool, Field(description="false: it is only opened, takes more steps, and starts later.")
    ] = True
    steps: _Steps | None = None


class AppendRequest(Body):
    """More steps; they may depend on those that are there."""

    steps: Annotated[list[AnyStep], Field(min_length=1, max_length=LIMITS.chain_steps)]


class StartRequest(Body):
    """Nothing to say."""


class ReasonRequest(Body):
    """Why."""

    reason: Text


class HoldChainRequest(Body):
    """How long at most, and what happens then."""

    seconds: Seconds
    then: Literal["resume", "reject"]
    reason: Text


class SignalRequest(Body):
    """What the wait is told."""

    payload: Annotated[JsonValue, Field(description="Any JSON, but numbers are whole.")] = None


def definition_of(request: ChainRequest, context: Context) -> Definition:
    """The chain that is asked for. Raises Forbidden, UnknownCurrency or InvalidChain."""
    if request.start and not request.steps:
        raise InvalidInput(fields=[("/steps", "A chain that starts has at least one step.")])
    return Definition(
        read_plan(request.steps or (), context).steps,
        request.type,
        request.reference,
        request.description,
        request.metadata,
        request.timeout_seconds,
        open=not request.start,
    )


def _create(request: ChainRequest, context: Context) -> Sequence[Operation]:
    definition = definition_of(request, context)
    return (CreateChain(new_id(CHAIN), definition, context.caller.id),)


def _render_new(results: Sequence[Result], context: Context) -> Reply:
    return chain_reply(chain_of(results), context, 201)


def _explain(
    request: ChainRequest | AppendRequest, refusal: ChainRefused
) -> Sequence[tuple[str, str]]:
    return explain_flaws(place_steps(request.steps or ()).places, refusal.flaws)


def _append(request: AppendRequest, context: Context) -> Sequence[Operation]:
    steps = read_plan(request.steps, context, before=True).steps
    act = partial(append_steps, steps=steps, by=context.caller.id)
    accounts = {*named_accounts(steps), *system_accounts(steps, context.ledger.id)}
    return on_chain(context, act, accounts, set(named_entries(steps)))


def _start(_: StartRequest, context: Context) -> Act:
    return guarded(Command.START, partial(machine.start, by=context.caller.id))


def _cancel(request: ReasonRequest, context: Context) -> Act:
    failure = Failure("cancelled", request.reason)
    act = partial(machine.cancel, failure=failure, by=context.caller.id)
    return guarded(Command.CANCEL, act)


def _hold(request: HoldChainRequest, context: Context) -> Act:
    act = partial(
        machine.hold,
        seconds=request.seconds,
        then=request.then,
        why=request.reason,
        by=context.caller.id,
    )
    return guarded(Command.HOLD, act)


def _resume(request: ReasonRequest, context: Context) -> Act:
    act = partial(machine.resume, why=request.reason, by=context.caller.id)
    return guarded(Command.RESUME, act)


def _reject(request: ReasonRequest, context: Context) -> Act:
    act = partial(machine.reject, why=request.reason, by=context.caller.id)
    return guarded(Command.REJECT, act)


def _signal(request: SignalRequest, context: Context) -> Act:
    name = context.params["name"]
    if not _SIGNAL.fullmatch(name):
        raise InvalidInput("A signal's name is one of a step.")
    size = len(json.dumps(request.payload, ensure_ascii=False).encode())
    if size > LIMITS.signal_bytes:
        sentence = f"A payload is at most {LIMITS.signal_bytes} bytes of JSON."
        raise InvalidInput(fields=[("/payload", sentence)])

    def act(chain: Chain, books: Books) -> ChainRefused | None:
        refused = refuse_signal(chain, name)
        if refused is None:
            machine.signal(chain, books, name, request.payload, context.caller.id)
        return refused

    return act


CREATE: Final = Write(
    "create_chain",
    ChainRequest,
    Scope.CHAINS_WRITE,
    _create,
    _render_new,
    body_bytes=LIMITS.chain_body_bytes,
    explain=_explain,
)
APPEND: Final = Write(
    "append_steps",
    AppendRequest,
    Scope.CHAINS_WRITE,
    _append,
    render_chain,
    body_bytes=LIMITS.chain_body_bytes,
    explain=_explain,
)
START: Final = command("start_chain", StartRequest, Scope.CHAINS_WRITE, _start)
CANCEL: Final = command("cancel_chain", ReasonRequest, Scope.CHAINS_WRITE, _cancel)
HOLD: Final = command("hold_chain", HoldChainRequest, Scope.CHAINS_HOLD, _hold)
RESUME: Final = command("resume_chain", ReasonRequest, Scope.CHAINS_HOLD, _resume)
REJECT: Final = command("reject_chain", ReasonRequest, Scope.CHAINS_HOLD, _reject)
SIGNAL: Final = command("signal_chain", SignalRequest, Scope.CHAINS_SIGNAL, _signal)
