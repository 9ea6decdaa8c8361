"""What a step's conditions and inputs come to, once what it depends on is done.

Invariant: an expression sees only what its step depends on, directly or not, so that what it gives
is the same whenever it is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from catena.chains.definition import Step
from catena.chains.expressions import (
    BadExpression,
    Broken,
    Kind,
    Variables,
    compile_expression,
    evaluate,
    find_expressions,
    is_expression,
)
from catena.chains.inputs import blame_value
from catena.chains.reasons import tidy_reason
from catena.chains.step_types import Input
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.chains.chain import Chain
    from catena.chains.step_types import Catalogue

__all__ = [
    "ancestors",
    "holds",
    "names_result",
    "resolve_inputs",
    "resolve_undo",
    "variables_of",
]

_CHAIN_VARIABLES: Final = (
    ("chain.id", Kind.STRING),
    ("chain.reference", Kind.STRING),
    ("chain.metadata", Kind.ANY),
)


def ancestors(steps: Mapping[str, Step], name: str) -> set[str]:
    """Every step that this one depends on, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for need in steps[waiting.pop()].needs:
            if need.step not in found:
                found.add(need.step)
                waiting.append(need.step)
    return found


def variables_of(steps: Iterable[Step], catalogue: Catalogue, *, states: bool = True) -> Variables:
    """The variables that these steps give, with their types: `states` as well as results."""
    variables = list(_CHAIN_VARIABLES)
    for step in steps:
        if states:
            variables.append((f"steps.{step.name}.state", Kind.STRING))
        type = catalogue.find(step.type)
        if type is not None:
            variables += [
                (f"steps.{step.name}.{name}", kind) for name, kind in type.results.items()
            ]
    return frozenset(variables)


def names_result(text: str, step: str, others: Iterable[str]) -> bool:
    """Whether an expression needs more of the step than its state: whether it does not compile
    over all that there is but that. What has not the words cannot name it.
    """
    words = set(_WORD.findall(text))
    if not words.issuperset(step.split(".")):
        return False
    known = {f"chain.{word}" for word in words} | {f"steps.{step}.state"}
    known.update(f"steps.{other}.{word}" for other in others for word in words)
    # A group may be named like the beginning of its steps' names.
    known = {name for name in known if not f"steps.{step}.".startswith(f"{name}.")}
    try:
        compile_expression(text, frozenset((name, Kind.ANY) for name in known))
    except BadExpression:
        return True
    return False


_WORD: Final = re.compile(r"\w+", re.ASCII)


def resolve_inputs(chain: Chain, step: Step, catalogue: Catalogue) -> dict[str, Any] | Broken:
    """The inputs with every expression replaced by what it gives."""
    inputs = step.inputs
    if not find_expressions(inputs):
        return dict(inputs)
    type = catalogue.find(step.type)
    return _resolve(inputs, type.inputs if type else {}, _Scope(chain, step, catalogue))


def resolve_undo(
    chain: Chain, step: Step, result: Mapping[str, Any], catalogue: Catalogue
) -> Mapping[str, Any] | Broken | None:
    """The step's compensation with every expression replaced, where its type says what it takes.

    `result`: what the step gave. States are not seen: they change while a chain is rolled back, and
    every call of an undo says the same.
    """
    words, type = step.compensation, catalogue.find(step.type)
    if type is None or not type.undo or not find_expressions(words):
        return words
    return _resolve(words or {}, type.undo, _Scope(chain, step, catalogue, result))


def _resolve(
    values: Mapping[str, Any], table: Mapping[str, Input], scope: _Scope
) -> dict[str, Any] | Broken:
    resolved = {}
    for name, value in values.items():
        wanted = table.get(name, _ANY)
        found = value if wanted.constant else scope.resolve(value, wanted.kind)
        if found is not value and not isinstance(found, Broken):
            flaw = blame_value(name, found, wanted)
            found = Broken(flaw) if flaw else found
        if isinstance(found, Broken):
            return Broken(f"{name}: {tidy_reason(found.reason)}")
        resolved[name] = found
    return resolved


_ANY: Final = Input(Kind.ANY)


def holds(chain: Chain, step: Step, catalogue: Catalogue) -> bool | Broken:
    """Whether all of the step's conditions hold."""
    if not step.when:
        return True
    scope = _Scope(chain, step, catalogue)
    for condition in step.when:
        found = scope.resolve({"cel": condition}, Kind.BOOL)
        if found is not True:
            return (
                Broken(f"when: {tidy_reason(found.reason)}") if isinstance(found, Broken) else False
            )
    return True


class _Scope:
    """What one step's expressions see: those of its compensation its own `result`, too."""

    def __init__(
        self,
        chain: Chain,
        step: Step,
        catalogue: Catalogue,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        steps = {name: run.definition for name, run in chain.steps.items()}
        seen = sorted(ancestors(steps, step.name))
        known = [steps[name] for name in seen]
        self._left = LIMITS.resolved_bytes
        self._values = dict(_values(chain, seen))
        if result is not None:
            known.append(step)
            self._values.update(_results(step.name, result))
        self._variables = variables_of(known, catalogue, states=result is None)

    def resolve(self, value: Any, wanted: Kind) -> Any:  # noqa: ANN401  # any JSON
        if is_expression(value):
            found = evaluate(value["cel"], self._variables, self._values, wanted)
            if type(found) not in _SMALL and not isinstance(found, Broken):
                self._left -= len(msgspec.json.encode(found))
                if self._left < 0:
                    return Broken(f"together they give more than {LIMITS.resolved_bytes} bytes")
            return found
        if isinstance(value, Mapping):
            pairs = {name: self.resolve(inner, Kind.ANY) for name, inner in value.items()}
            return next((v for v in pairs.values() if isinstance(v, Broken)), pairs)
        if isinstance(value, (list, tuple)):
            items = [self.resolve(inner, Kind.ANY) for inner in value]
            return next((v for v in items if isinstance(v, Broken)), items)
        return value


_SMALL: Final = frozenset({int, bool, type(None)})


def _values(chain: Chain, seen: Iterable[str]) -> Iterator[tuple[str, Any]]:
    yield "chain.id", chain.id
    yield "chain.reference", chain.definition.reference or ""
    yield "chain.metadata", dict(chain.definition.metadata or {})
    for name in seen:
        run = chain.steps[name]
        yield f"steps.{name}.state", str(run.state)
        yield from _results(name, run.result)


def _results(name: str, result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((f"steps.{name}.{field}", value) for field, value in result.items())
