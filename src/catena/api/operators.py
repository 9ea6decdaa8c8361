"""What operators decide by hand, where a chain cannot go on alone: with a reason, on record."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from catena.api.bodies import STEP_PATTERN, Body, JsonObject, Text
from catena.api.chain_routes import add_command
from catena.api.chains import ReasonRequest
from catena.api.commands import Act, command, telling
from catena.api.writes import Context, Write
from catena.auth.scopes import Scope
from catena.chains import operator
from catena.errors import InvalidInput
from catena.settings import LIMITS

__all__ = ["router"]

router = APIRouter(tags=["Operators"])

_STEP: Final = re.compile(STEP_PATTERN[1:-1])


class DoneRequest(Body):
    """That it was done, and why we know."""

    result: Annotated[
        JsonObject | None,
        Field(description="What it gave, for the steps after it, in the kinds of its type."),
    ] = None
    reason: Text


def _step_of(context: Context) -> str:
    step = context.params["step"]
    if not _STEP.fullmatch(step):
        raise InvalidInput("This is not the name of a step.")
    return step


def _done(request: DoneRequest, context: Context) -> Act:
    result = request.result or {}
    if len(json.dumps(result, ensure_ascii=False).encode()) > LIMITS.signal_bytes:
        sentence = f"A result is at most {LIMITS.signal_bytes} bytes of JSON."
        raise InvalidInput(fields=[("/result", sentence)])
    act = partial(
        operator.mark_done,
        step=_step_of(context),
        result=result,
        why=request.reason,
        by=context.caller.id,
    )
    return telling(act)


def _decide(act: Callable[..., Any]) -> Callable[[ReasonRequest, Context], Act]:
    def decide(request: ReasonRequest, context: Context) -> Act:
        told = {"step": _step_of(context), "why": request.reason}
        return telling(partial(act, **told, by=context.caller.id))

    return decide


def _compensate(request: ReasonRequest, context: Context) -> Act:
    return telling(partial(operator.compensate, why=request.reason, by=context.caller.id))


_SCOPE: Final = Scope.CHAINS_OPERATE
RETRY: Final = command("retry_step", ReasonRequest, _SCOPE, _decide(operator.retry))
MARK_DONE: Final = command("mark_step_done", DoneRequest, _SCOPE, _done)
MARK_REFUSED: Final = command(
    "mark_step_refused", ReasonRequest, _SCOPE, _decide(operator.mark_refused)
)
SKIP: Final = command("skip_step", ReasonRequest, _SCOPE, _decide(operator.skip))
COMPENSATE: Final = command("compensate_chain", ReasonRequest, _SCOPE, _compensate)

_REASON: Final = {"reason": "The bank has confirmed it by telephone"}
_OF_STEPS: Final = (
    "unknown_step",
    "step_not_parked",
    "decision_not_possible",
    "chain_not_started",
    "chain_not_running",
)
_COMMANDS: Final[Sequence[tuple[str, Write, str, object, Sequence[str]]]] = (
    (
        "/steps/{step}/retry",
        RETRY,
        "Try a parked step, or a parked undo, again",
        _REASON,
        _OF_STEPS,
    ),
    (
        "/steps/{step}/mark-done",
        MARK_DONE,
        "Say that a parked, waiting or unknown step, or its undo, was done",
        {"result": {"status": 200, "body": {"id": "T-1"}}, **_REASON},
        (*_OF_STEPS, "step_posts", "result_mismatch"),
    ),
    (
        "/steps/{step}/mark-refused",
        MARK_REFUSED,
        "Say that nothing was done by a call that is out, or an undo that is",
        _REASON,
        _OF_STEPS,
    ),
    (
        "/steps/{step}/skip",
        SKIP,
        "Go on without a step that is parked past the pivot",
        _REASON,
        (*_OF_STEPS, "step_needed"),
    ),
    (
        "/compensate",
        COMPENSATE,
        "Roll a chain back that cannot go on",
        _REASON,
        ("chain_not_started", "chain_not_running", "pivot_passed", "step_outcome_unknown"),
    ),
)
for _path, _write, _summary, _example, _errors in _COMMANDS:
    add_command(
        router,
        f"/v1/chains/{{chain_id}}{_path}",
        _write,
        _summary,
        example=_example,
        errors=_errors,
    )
