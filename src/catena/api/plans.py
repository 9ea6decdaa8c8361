"""From the steps of a request to those of a chain, and from the flaws of those back to its places.

Invariant: whatever can be known without the books is refused here, before anything is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from catena.api.bodies import Body
from catena.api.steps import (
    ChainCancel,
    ChainStartStep,
    ChainUndo,
    GroupStep,
    LinkRequest,
    OutsideStep,
    PlanRequest,
    RetryRequest,
    StepBody,
    scope_of,
)
from catena.api.writes import Context, require
from catena.chains.definition import (
    NO_RETRY,
    Definition,
    Family,
    Need,
    Retry,
    Step,
    describe_definition,
    flatten,
    read_step,
)
from catena.chains.expressions import find_expressions, is_expression
from catena.chains.postings import build_draft
from catena.chains.validator import Flaw, find_flaws
from catena.errors import Forbidden, InvalidChain, InvalidInput, UnknownCurrency
from catena.ledger.entries import balance_by_currency
from catena.settings import LIMITS

__all__ = ["Plan", "explain_flaws", "place_steps", "read_plan"]

_CURRENCIES: Final = ("currency", "source_currency", "destination_currency")
_QUOTED: Final = re.compile(r"'[^']*'")


class Plan(NamedTuple):
    """Steps, and where in the request each stands, as a JSON pointer by its name."""

    steps: Sequence[Step]
    places: Mapping[str, str]


def place_steps(requests: Sequence[StepBody]) -> Plan:
    """The steps that a list asks for, groups and all, in their order."""
    placed = list(_place(requests, "/steps"))
    return Plan([step for step, _ in placed], {step.name: place for step, place in placed})


def _place(requests: Sequence[StepBody], at: str) -> Iterator[tuple[Step, str]]:
    before: str | None = None
    for index, request in enumerate(requests):
        place = f"{at}/{index}"
        step = _read(request, before)
        before = request.name
        if not isinstance(request, GroupStep):
            yield step, place
            continue
        members = list(_place(request.steps, f"{place}/steps"))
        places = {f"{step.name}.{member.name}": inner for member, inner in members}
        for flat in flatten(step, [member for member, _ in members]):
            yield flat, places.get(flat.name, place)


def _read(request: Any, before: str | None) -> Step:  # noqa: ANN401  # any of the step models
    links = request.depends_on
    if links is None:
        needs: Sequence[Need] = () if before is None else (Need(before),)
    else:
        needs = [
            Need(link.step, link.phase == "accepted")
            if isinstance(link, LinkRequest)
            else Need(link)
            for link in links
        ]
    when = request.when
    conditions = () if when is None else (when,) if isinstance(when, str) else tuple(when)
    if isinstance(request, GroupStep):
        return Step(request.name, request.type, {}, needs, conditions)
    # A model says only what its type has, and asks dearly for what it has not.
    said: Mapping[str, Any] = vars(request)
    compensation = said.get("compensation")
    return Step(
        request.name,
        request.type,
        _read_inputs(request),
        needs,
        conditions,
        _read_retry(said.get("retry")),
        said.get("timeout_seconds"),
        said.get("on_timeout") == "continue",
        None if compensation is None else _read_compensation(compensation),
        said.get("pivot", False),
    )


def _read_retry(retry: RetryRequest | None) -> Retry:
    if retry is None:
        return NO_RETRY
    never = frozenset(retry.never or ())
    return Retry(retry.attempts, retry.first_seconds, retry.cap_seconds, never)


def _read_inputs(request: Any) -> dict[str, Any]:  # noqa: ANN401  # any of the step models
    if isinstance(request, OutsideStep):
        return request.inputs or {}
    if isinstance(request, ChainStartStep):
        ledger = request.inputs.ledger_id
        started = {"chain": _read_started(request.inputs.chain)}
        return started if ledger is None else {"ledger_id": ledger, **started}
    return {name: _tell(value) for name, value in vars(request.inputs).items() if value is not None}


def _tell(value: Any) -> Any:  # noqa: ANN401  # any field
    """The field as JSON."""
    if isinstance(value, Body):
        return value.model_dump(mode="json", exclude_unset=True)
    return [_tell(inner) for inner in value] if isinstance(value, list) else value


def _read_compensation(request: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON or a model
    match request:
        case ChainCancel():
            return {"type": "cancel"}
        case ChainUndo():
            return {"chain": _read_started(request.chain)}
        case Body():
            return request.model_dump(mode="json", exclude_none=True)
        case _:
            return dict(request)


def _read_started(request: PlanRequest) -> dict[str, Any]:
    """A chain to be started as the step that starts it keeps it."""
    definition = Definition(
        place_steps(request.steps).steps,
        request.type,
        request.reference,
        request.description,
        request.metadata,
        request.timeout_seconds,
    )
    told = describe_definition(definition)
    return {name: value for name, value in told.items() if value is not None}


def _list_types(steps: Iterable[Step], context: Context) -> Iterator[str]:
    """The types of the steps, of those of chains that they start too, in ledgers that the caller
    may use. Raises Forbidden.
    """
    for step in steps:
        yield step.type
        if step.type != "chain.start":
            continue
        ledgers, ledger = context.caller.ledgers, step.inputs.get("ledger_id")
        if ledger is not None and ledgers is not None and ledger not in ledgers:
            raise Forbidden(
                "The chain would be started in a ledger that the credential may not use."
            )
        for plan in (step.inputs["chain"], (step.compensation or {}).get("chain")):
            if plan is not None:
                yield from _list_types(map(read_step, plan["steps"]), context)


def read_plan(requests: Sequence[StepBody], context: Context, *, before: bool = False) -> Plan:
    """The steps of a request. `before`: others come before them, which are not known here.

    Raises Forbidden, UnknownCurrency or InvalidChain.
    """
    plan = place_steps(requests)
    for type in dict.fromkeys(_list_types(plan.steps, context)):
        scope = scope_of(type)
        if scope is not None:
            require(context.caller, scope)
    if len(plan.steps) > LIMITS.chain_steps:
        sentence = f"A chain has {LIMITS.chain_steps} steps at most."
        raise InvalidChain(fields=[("/steps", sentence)])
    flaws = list(_find_bad_constants(plan.steps, context))
    if not before:
        flaws += find_flaws(plan.steps, context.catalogue, context.ledger.id)
    if flaws:
        raise InvalidChain(fields=explain_flaws(plan.places, flaws))
    return plan


def _find_bad_constants(steps: Iterable[Step], context: Context) -> Iterator[Flaw]:
    """Steps of the books whose constants mean nothing together. Raises UnknownCurrency."""
    for step in steps:
        inputs = step.inputs
        if step.family not in (Family.LEDGER, Family.LIEN):
            continue
        for name in _CURRENCIES:
            code = inputs.get(name)
            if isinstance(code, str):
                context.currency(code)
        if step.type == "entry":
            _check_lines(inputs["lines"], context)
        if step.family is Family.LIEN or step.type == "capture" or find_expressions(inputs):
            continue
        try:
            draft = build_draft(step.type, inputs, context.ledger.id, context.ledger.assets)
        except UnknownCurrency:
            raise
        except InvalidInput as error:
            yield Flaw(step.name, "inputs", error.detail)
            continue
        if step.type == "entry" and any(balance_by_currency(draft.lines).values()):
            yield Flaw(step.name, "inputs/lines", "Debits and credits differ in some currency.")


def _check_lines(lines: Any, context: Context) -> None:  # noqa: ANN401  # lines or an expression
    if not is_expression(lines):
        for line in lines:
            context.currency(line["currency"])


def explain_flaws(places: Mapping[str, str], flaws: Iterable[Flaw]) -> list[tuple[str, str]]:
    """Flaws as JSON pointers into the request and sentences, without what was sent."""
    return [
        (f"{places.get(flaw.step, '')}/{flaw.part}", _QUOTED.sub("this", flaw.text))
        for flaw in list(flaws)[:_FLAWS_SHOWN]
    ]


_FLAWS_SHOWN: Final = 20
