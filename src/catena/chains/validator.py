"""What a definition may not ask for: every flaw, with where it is.

Invariant: what passes here can be run to an end, and rolled back from every state before its pivot;
past the pivot its ledger steps are always paid. Rules: SPEC 3.2, 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catena.chains.definition import Family, Step
from catena.chains.expressions import (
    BadExpression,
    Kind,
    compile_expression,
    find_expressions,
    is_expression,
)
from catena.chains.funding import Effect, effects_of, lines_of, uncovered
from catena.chains.inputs import blame_value
from catena.chains.postings import Assets
from catena.chains.resolve import ancestors, variables_of
from catena.chains.step_types import NOTHING, Catalogue, Input, StepType
from catena.ledger.accounts import Account
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.chains.books import Books
    from catena.chains.chain import Chain

__all__ = ["Flaw", "find_appended_flaws", "find_flaws", "find_uncovered", "sort_effects"]


class Flaw(NamedTuple):
    """What is wrong, and where: the step's name and the part of it."""

    step: str
    part: str
    text: str


Steps = Mapping[str, Step]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}(\.[a-z][a-z0-9_]{0,39}){0,3}")

_RESERVED_WORDS: Final = """
    true false null in as break const continue else for function if import let loop package
    namespace return var void while
"""
_RESERVED: Final = frozenset(_RESERVED_WORDS.split())
"""Words that CEL keeps for itself."""


def find_flaws(
    steps: Sequence[Step], catalogue: Catalogue, ledger_id: str, judged: Container[str] = ()
) -> list[Flaw]:
    """Every flaw that can be seen without the books, in the order of the steps.

    `steps` are all of the chain's, those that it has done among them. Those that are `judged` have
    passed their types' own checks, which may have changed since.
    """
    by_name = {step.name: step for step in steps}
    flaws = list(_find_names(steps))
    for step in steps:
        flaws += _find_needs(step, by_name)
    if flaws:
        return flaws
    circle = _find_circle(steps)
    if circle is not None:
        return [Flaw(circle, "depends_on", "The steps depend on each other in a circle.")]
    flaws += _find_too_many(steps)
    if flaws:
        return flaws  # before the first is compiled
    for step in steps:
        found = list(_find_inputs(step, by_name, catalogue))
        if not found and step.family is Family.OUTSIDE and step.name not in judged:
            found = list(_find_faults(step, catalogue, ledger_id))
        flaws += found
    return flaws + list(_find_pivot(by_name))


def _find_names(steps: Sequence[Step]) -> Iterator[Flaw]:
    seen: set[str] = set()
    for step in steps:
        if not _NAME.fullmatch(step.name) or not _RESERVED.isdisjoint(step.name.split(".")):
            yield Flaw(step.name, "name", "A name is a-z, 0-9 and _, a letter first; 40 at most.")
        elif step.name in seen:
            yield Flaw(step.name, "name", "Another step has this name.")
        seen.add(step.name)


def _find_needs(step: Step, steps: Steps) -> Iterator[Flaw]:
    for need in step.needs:
        needed = steps.get(need.step)
        if needed is None:
            yield Flaw(step.name, "depends_on", "There is no step of this name.")
        elif need.accepted and (needed.family is not Family.OUTSIDE or needed.pivot):
            yield Flaw(
                step.name, "depends_on", "Only an outside step that is not the pivot is accepted."
            )


def _find_circle(steps: Sequence[Step]) -> str | None:
    """A step that depends on itself in the end."""
    seen: set[str] = set()
    for step in steps:
        if any(need.step not in seen for need in step.needs):
            break
        seen.add(step.name)
    else:
        return None  # each comes after what it needs
    try:
        TopologicalSorter({s.name: [n.step for n in s.needs] for s in steps}).prepare()
    except CycleError as error:
        found: str = error.args[1][0]
        return found
    return None


def _find_too_many(steps: Sequence[Step]) -> Iterator[Flaw]:
    """The step whose expressions are too many, with those of the steps before it."""
    count = length = 0
    for step in steps:
        texts = [*step.when, *find_expressions(step.inputs), *find_expressions(step.compensation)]
        if step.type == "chain.start":
            texts += _list_conditions([step.inputs, step.compensation])
        if texts:
            count += len(texts)
            length += sum(map(len, texts))
            if count > LIMITS.chain_expressions or length > LIMITS.chain_expression_characters:
                said = (
                    f"All of a chain's expressions, conditions too, are {LIMITS.chain_expressions}"
                    f" at most, and {LIMITS.chain_expression_characters} characters together."
                )
                yield Flaw(step.name, "inputs", said)
                return


def _list_conditions(value: object) -> Iterator[str]:
    """The conditions within a chain that a step starts."""
    if isinstance(value, Mapping):
        yield from (text for text in value.get("when") or () if isinstance(text, str))
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _list_conditions(inner)


# --- inputs -----------------------------------------------------------------------------------


def _find_inputs(step: Step, steps: Steps, catalogue: Catalogue) -> Iterator[Flaw]:
    type = catalogue.find(step.type)
    if type is None:
        yield Flaw(step.name, "type", "There is no step type of this name.")
        return
    yield from _find_values(step, ("inputs", step.inputs), type.inputs, steps, catalogue)
    undo = step.compensation
    if type.undo and undo is not None and undo != NOTHING and not step.pivot:
        yield from _find_values(step, ("compensation", undo), type.undo, steps, catalogue)
    for condition in step.when:
        yield from _find_expression(step, "when", condition, Kind.BOOL, steps, catalogue)
    yield from _find_lien(step, steps)
    yield from _find_rest(step, type)


def _find_faults(step: Step, catalogue: Catalogue, ledger_id: str) -> Iterator[Flaw]:
    """What the type itself finds in inputs that are of the right kinds."""
    undo = None if step.compensation == NOTHING else step.compensation
    for part, text in catalogue.outside[step.type].check(step.inputs, undo, ledger_id):
        yield Flaw(step.name, part, text)


def _find_values(
    step: Step,
    said: tuple[str, Mapping[str, Any]],
    table: Mapping[str, Input],
    steps: Steps,
    catalogue: Catalogue,
) -> Iterator[Flaw]:
    """Flaws of what a step says in a part of it, of which the table knows what it may be."""
    part, values = said
    for name in values.keys() - table.keys():
        yield Flaw(step.name, f"{part}/{name}", "The type has no such input.")
    for name, wanted in table.items():
        value = values.get(name)
        if value is not None:
            texts = find_expressions(value)
            if texts:
                here = f"{part}/{name}", value
                yield from _find_expressions(step, here, texts, wanted, steps, catalogue)
            elif text := blame_value(name, value, wanted):
                yield Flaw(step.name, f"{part}/{name}", text)
        elif wanted.required:
            yield Flaw(step.name, f"{part}/{name}", "This input is required.")


def _find_expressions(
    step: Step,
    here: tuple[str, object],
    texts: Sequence[str],
    wanted: Input,
    steps: Steps,
    catalogue: Catalogue,
) -> Iterator[Flaw]:
    part, value = here
    if wanted.constant:
        yield Flaw(step.name, part, "This input is needed before anything has run: a constant.")
        return
    whole = is_expression(value)
    if not whole and wanted.kind is not Kind.ANY:
        yield Flaw(step.name, part, f"This input is a {wanted.kind}.")
        return
    kind = wanted.kind if whole else Kind.ANY
    for text in texts:
        yield from _find_expression(step, part, text, kind, steps, catalogue)


def _find_expression(
    step: Step, part: str, text: str, wanted: Kind, steps: Steps, catalogue: Catalogue
) -> Iterator[Flaw]:
    seen = [steps[name] for name in ancestors(steps, step.name)]
    undoing = part.startswith("compensation")
    if undoing:
        seen.append(step)
    try:
        kind = compile_expression(text, variables_of(seen, catalogue, states=not undoing)).kind
    except BadExpression as error:
        yield Flaw(step.name, part, f"The expression does not compile: {error}")
        return
    if Kind.ANY not in (wanted, kind) and kind is not wanted:
        yield Flaw(step.name, part, f"The expression gives a {kind}, and a {wanted} is needed.")


def _find_lien(step: Step, steps: Steps) -> Iterator[Flaw]:
    """A lien is named by the step that makes it, which must come before."""
    name = step.inputs.get("lien")
    if name is None or not isinstance(name, str):
        return
    if name not in ancestors(steps, step.name):
        yield Flaw(step.name, "inputs/lien", "The step depends on no step of this name.")
    elif step.type in _ON_RESERVED and steps[name].type != "lien.reserve":
        yield Flaw(step.name, "inputs/lien", "That step reserves nothing.")


_ON_RESERVED: Final = frozenset({"lien.extend", "lien.release", "capture"})


def _find_rest(step: Step, type: StepType) -> Iterator[Flaw]:
    yield from _find_compensation(step, type)
    if step.goes_on and step.family is not Family.WAIT:
        yield Flaw(step.name, "on_timeout", "Only a wait can go on when its time runs out.")
    for name in _TIMES & step.inputs.keys():
        if not _is_time(step.inputs[name]):
            yield Flaw(step.name, f"inputs/{name}", "This input is a number of seconds above 0.")
    if step.inputs.get("on_expiry", "fail") not in ("fail", "continue"):
        yield Flaw(step.name, "inputs/on_expiry", "A chain fails or continues.")
    if step.type == "wait" and "seconds" in step.inputs and "signal" in step.inputs:
        yield Flaw(step.name, "inputs", "A wait is for a signal or for a time.")
    if step.pivot and step.family not in (Family.OUTSIDE, Family.LEDGER):
        yield Flaw(step.name, "pivot", "Only an outside or a ledger step can be the pivot.")


def _find_compensation(step: Step, type: StepType) -> Iterator[Flaw]:
    said = step.compensation is not None
    text = ""
    if step.family is not Family.OUTSIDE:
        text = "The chain undoes this step by itself." if said else ""
    elif step.pivot:
        text = "A pivot is never undone." if said else ""
    elif said and not type.undoes:
        text = "Nothing that this step does needs undoing."
    elif type.undoes and not said:
        text = (
            'Say how it is undone, that nothing needs to be ({"type": "none"}), or make it the'
            " pivot."
        )
    if text:
        yield Flaw(step.name, "compensation", text)


_TIMES: Final = frozenset({"seconds", "expires_seconds"})


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


# --- the pivot --------------------------------------------------------------------------------


def _find_pivot(steps: Steps) -> Iterator[Flaw]:
    pivots = [step for step in steps.values() if step.pivot]
    for step in pivots[1:]:
        yield Flaw(step.name, "pivot", "A chain has one pivot at most.")
    for step in steps.values():
        if step.type == "capture" and not step.pivot:
            before = ancestors(steps, step.name)
            if not any(pivot.name in before for pivot in pivots):
                yield Flaw(step.name, "type", "A capture is the pivot or comes after it.")


def sort_effects(
    steps: Steps, accounts: Mapping[str, Account], books: tuple[str, Assets]
) -> dict[str, Effect | None]:
    """What each step does to the pool, as far as its constants say."""
    return {name: effects_of(step, steps, accounts, books) for name, step in steps.items()}


def find_uncovered(
    steps: Steps, accounts: Mapping[str, Account], books: tuple[str, Assets]
) -> Iterator[Flaw]:
    """The ledger steps behind the pivot that the books would refuse, or that the chain may be
    unable to pay from its pool.
    """
    pivot = next((step for step in steps.values() if step.pivot), None)
    if pivot is None:
        return
    effects = sort_effects(steps, accounts, books)
    for name, step in steps.items():
        if pivot.name not in ancestors(steps, name):
            continue
        if step.type == "lien.reserve":
            yield Flaw(name, "type", "Past the pivot nothing may be refused: reserve before it.")
            continue
        if step.family is not Family.LEDGER:
            continue
        for line in lines_of(step, steps, books) or ():
            account = accounts.get(line.account)
            if account is not None and account.currency != line.currency:
                yield Flaw(name, "inputs", "An account that it names has another currency.")
                break
        if uncovered(name, steps, effects) is not None:
            yield Flaw(
                name,
                "inputs",
                "Past the pivot nothing may be refused: what this step takes from a wallet must be"
                " reserved or received by steps before it, in known amounts.",
            )


def find_appended_flaws(chain: Chain, steps: Sequence[Step], books: Books) -> list[Flaw]:
    """Every flaw of steps that are to be appended to a chain, the books' own among them.

    A step of the chain's that they leave uncovered is their flaw.
    """
    before = [run.definition for run in chain.steps.values()]
    names = {step.name for step in steps}
    everything = [*before, *chain.place(steps)]
    flaws = find_flaws(everything, books.catalogue, books.ledger_id, chain.steps)
    if not flaws:
        by_name = {step.name: step for step in everything}
        flaws += find_uncovered(by_name, books.accounts, (books.ledger_id, books.assets))
    uncovers = any(f.step not in names and not chain.steps[f.step].is_done for f in flaws)
    flaws = [flaw for flaw in flaws if flaw.step in names]
    if uncovers and not flaws:
        text = "It may take what a step behind the pivot needs, which nothing may refuse then."
        flaws.append(Flaw(steps[0].name, "inputs", text))
    return flaws
