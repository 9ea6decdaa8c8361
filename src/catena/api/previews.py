"""Previews: a chain played dry over the balances of this moment. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter
from msgspec import Meta, Struct
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from catena.api import chain_examples as examples
from catena.api.bodies import JsonObject, decode
from catena.api.chain_views import FailureView, view_failure
from catena.api.chains import ChainRequest, definition_of
from catena.api.documentation import describe
from catena.api.plans import explain_flaws, place_steps
from catena.api.requests import app_of, identify, read_body, respond
from catena.api.steps import StepName
from catena.api.views import AccountId, Minor, encode
from catena.api.virtual import VirtualBalance
from catena.api.writes import Context, Reply
from catena.auth.scopes import Scope
from catena.chains.definition import Definition, Step
from catena.chains.funding import worst_funding
from catena.chains.needs import named_accounts, named_entries, system_accounts, wanted_accounts
from catena.chains.preview import DryBooks, Played, play
from catena.chains.standing import find_unusable
from catena.chains.states import ChainState, StepState
from catena.chains.validator import find_uncovered, sort_effects
from catena.db.load import load_accounts, load_corrected, load_corrections, read_now
from catena.errors import InvalidChain, InvalidInput, UnknownCurrency
from catena.ids import CHAIN, new_id
from catena.ledger.accounts import Account
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.app import App

__all__ = ["router"]

router = APIRouter(tags=["Chains"])

_READS: Final = 4
"""How often accounts are read that only the play itself has named."""


class PreviewRequest(ChainRequest):
    """A chain as it would be created, and what is assumed of the world."""

    assume: Annotated[
        dict[StepName, JsonObject] | None,
        Field(
            max_length=LIMITS.chain_steps,
            description="By outside step: the result with which it is approved; by wait: its"
            " `payload`.",
            json_schema_extra={"additionalProperties": {"type": "object"}},
        ),
    ] = None


class PreviewStep(Struct, frozen=True, omit_defaults=True):
    """What would become of a step. Balances: of the accounts that it touches."""

    name: str
    type: str
    state: StepState
    balances: Sequence[VirtualBalance]
    unknown: Annotated[
        str | None, Meta(description="Why it is not known what would become of it.")
    ] = None


class FundingView(Struct, frozen=True):
    """What the chain may take from an account at most, whatever the order of its steps."""

    account_id: AccountId
    currency: str
    needed: Minor
    available: Minor
    missing: Minor


class PreviewView(Struct, frozen=True):
    """What would become of a chain now, if its partners approve."""

    state: Annotated[ChainState, Meta(description="`executing`: some of its steps are not known.")]
    refused: Annotated[
        FailureView | None, Meta(description="The step that would be refused, and why.")
    ]
    failure: FailureView | None
    funding: Sequence[FundingView]
    unknown: Annotated[
        Sequence[str], Meta(description="Steps whose amounts are known only as they run.")
    ]
    steps: Sequence[PreviewStep]


@router.post(
    "/v1/chains/preview",
    summary="Preview a chain",
    operation_id="preview_chain",
    openapi_extra=describe(
        answers={200: ("What would become of it.", PreviewView, examples.PREVIEW)},
        body=PreviewRequest,
        example={**examples.CREATE, "assume": {"approval": {"payload": {"approved_by": "carol"}}}},
        errors=("invalid_chain", "unknown_currency"),
    ),
)
async def post_preview(request: Request) -> Response:
    """Play a chain dry: each step's balances, what must be funded, what would be refused."""
    context = await identify(request, Scope.CHAINS_READ)
    wanted = decode(PreviewRequest, await read_body(request, LIMITS.chain_body_bytes))
    app = app_of(request)
    try:
        definition = definition_of(wanted, context)
    except UnknownCurrency:
        # Another process may have registered the asset since this one read the ledgers.
        await app.ledgers.refresh()
        ledger = await app.ledgers.find(context.caller, context.ledger.id)
        context = context._replace(ledger=ledger)
        definition = definition_of(wanted, context)
    assume = wanted.assume or {}
    unknown = assume.keys() - {step.name for step in definition.steps}
    if unknown:
        raise InvalidInput(fields=[("/assume", "There is no step of one of these names.")])
    played, accounts = await _play(app, context, definition, assume)
    books = (context.ledger.id, context.ledger.assets)
    by_name = {step.name: step for step in definition.steps}
    flaws = list(find_unusable(definition.steps, accounts))
    flaws += find_uncovered(by_name, accounts, books)
    if flaws:
        places = place_steps(wanted.steps or ()).places
        raise InvalidChain(fields=explain_flaws(places, flaws))
    effects = sort_effects(by_name, accounts, books)
    known = {name: effect or {} for name, effect in effects.items()}
    blind = bool(played.unknown) and played.chain.state is ChainState.COMPLETED
    view = PreviewView(
        ChainState.EXECUTING if blind else played.chain.state,
        next(_find_refused(played), None),
        view_failure(played.chain.failure),
        list(_view_funding(worst_funding(by_name, known), accounts)),
        [name for name, effect in effects.items() if effect is None],
        [
            _view_unknown(step, played.unknown[step.name])
            if step.name in played.unknown
            else PreviewStep(
                step.name,
                step.type,
                played.chain.steps[step.name].state,
                [VirtualBalance(*standing) for standing in played.standings.get(step.name, ())],
            )
            for step in definition.steps
        ],
    )
    return respond(Reply(200, encode(view)))


async def _play(
    app: App, context: Context, definition: Definition, assume: Mapping[str, Any]
) -> tuple[Played, Mapping[str, Account]]:
    """Play over what the books say now; what only expressions name is read when they have."""
    number, id = context.ledger.number, new_id(CHAIN)
    accounts: dict[str, Account] = {}
    depth = app.settings.correction_depth
    async with app.pool.acquire() as connection:
        now = await read_now(connection)
        entries = await load_corrected(connection, number, named_entries(definition.steps), depth)
        corrections = await load_corrections(connection, number, entries)
        wanted = {line.account for entry in entries.values() for line in entry.lines}
        wanted |= {*named_accounts(definition.steps)}
        wanted |= {*system_accounts(definition.steps, context.ledger.id)}
        sought = set(wanted)
        place = (context.ledger.id, context.ledger.assets, context.catalogue, now)
        reads = 0
        while True:
            accounts |= await load_accounts(connection, number, wanted, lock=False)
            make_books = partial(DryBooks, place, accounts, entries, corrections)
            played = play(id, definition, make_books, assume)
            named = wanted_accounts(played.chain, context.ledger.id, context.catalogue)
            wanted = (named | played.missing) - sought
            reads += 1
            if not wanted or reads == _READS:
                return played, accounts
            sought |= wanted


def _view_unknown(step: Step, source: str) -> PreviewStep:
    sentence = f"It depends on what {source} gives: say it in `assume`."
    return PreviewStep(step.name, step.type, StepState.PENDING, [], sentence)


def _find_refused(played: Played) -> Iterator[FailureView]:
    for run in played.chain.steps.values():
        failure = run.failure
        if failure is not None and (run.parked or run.state is StepState.FAILED):
            view = view_failure(failure._replace(step=run.name))
            if view is not None:
                yield view


def _view_funding(
    worst: Mapping[str, int], accounts: Mapping[str, Account]
) -> Iterator[FundingView]:
    for id, needed in worst.items():
        account = accounts[id]
        available = account.available or 0
        yield FundingView(id, account.currency, needed, available, max(0, needed - available))
