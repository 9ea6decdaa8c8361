"""What a chain takes from outside of itself: the worst case over every order of its steps.

Invariant: looks at constants alone; a step whose amounts or accounts are expressions has no known
effect. A chain pays from its pool first, so what its own credits bring is not taken from others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from catena.chains.definition import Family, Step
from catena.chains.expressions import find_expressions
from catena.chains.needs import CORRECTING
from catena.chains.postings import WORDS, Assets, build_draft
from catena.chains.resolve import ancestors
from catena.errors import InvalidInput
from catena.ledger.accounts import Account
from catena.ledger.entries import Line
from catena.liens.pool import net_changes

__all__ = ["Effect", "effects_of", "lines_of", "uncovered", "worst_funding"]

Effect = Mapping[str, int]
"""By account with a floor: what a step adds to the chain's pool there, or takes (below 0)."""

_ENDLESS: Final = 2**80


def lines_of(
    step: Step, steps: Mapping[str, Step], books: tuple[str, Assets]
) -> Sequence[Line] | None:
    """What a ledger step posts; None when that is known only as it runs.

    `books`: the ledger's id and its assets.
    """
    inputs = {name: value for name, value in step.inputs.items() if name not in WORDS}
    if step.type == "capture":
        inputs["source_account_id"] = steps[inputs["lien"]].inputs["account_id"]
    if step.type in CORRECTING or find_expressions(inputs):
        return None
    try:
        return build_draft(step.type, inputs, *books).lines
    except InvalidInput:
        return None


def effects_of(
    step: Step,
    steps: Mapping[str, Step],
    accounts: Mapping[str, Account],
    books: tuple[str, Assets],
) -> Effect | None:
    """What a step does to the pool; None when that is known only as it runs.

    `books`: the ledger's id and its assets. A reservation adds what it takes from outside.
    """
    if step.family is Family.LIEN:
        return None if find_expressions(step.inputs) else _effect_of_lien(step, steps)
    if step.family is not Family.LEDGER:
        return {}
    lines = lines_of(step, steps, books)
    if lines is None:
        return None
    changes = net_changes(lines, accounts)
    if step.type == "capture":  # its credits are the receiver's at once
        changes = {id: change for id, change in changes.items() if change < 0}
    return changes


def _effect_of_lien(step: Step, steps: Mapping[str, Step]) -> Effect | None:
    if step.type == "lien.reserve":
        return {step.inputs["account_id"]: step.inputs["amount"]}
    if step.type == "lien.release":
        reserved = steps[step.inputs["lien"]].inputs
        known = not find_expressions(reserved)
        return {reserved["account_id"]: -reserved["amount"]} if known else None
    return {}


def uncovered(
    name: str, steps: Mapping[str, Step], effects: Mapping[str, Effect | None]
) -> str | None:
    """The account whose decrease by this step its chain may be unable to pay from the pool.

    Whatever the order: only what certainly came before counts as there, and all that may have been
    spent before counts as gone. An empty text: the step's effect is not known.
    """
    effect = effects[name]
    if effect is None:
        return ""
    before = ancestors(steps, name)
    for account, change in effect.items():
        if change >= 0:
            continue
        there = sum(
            max(0, (effects[other] or {}).get(account, 0))
            for other in before
            if _is_certain(steps[other], steps[name], steps)
            and (steps[name].type != "capture" or steps[name].inputs["lien"] == other)
        )
        for other, step in steps.items():
            if other == name or name in ancestors(steps, other):
                continue
            if steps[name].type == "capture" and _spares(step, steps[name].inputs["lien"]):
                continue
            found = effects[other]
            if found is None and step.family in (Family.LEDGER, Family.LIEN):
                return account
            there += min(0, (found or {}).get(account, 0))
        if there < -change:
            return account
    return None


def _spares(step: Step, lien: str) -> bool:
    """Whether a step draws on one lien alone, and that is another one."""
    return step.type in ("capture", "lien.release") and step.inputs["lien"] != lien


def _is_certain(before: Step, after: Step, steps: Mapping[str, Step]) -> bool:
    """Whether what a step brought is there when a later one runs: not skipped, not expired."""
    if before.inputs.get("on_expiry") == "continue" or not set(before.when) <= set(after.when):
        return False
    if not before.when:
        return True
    # What a step says that was only accepted is another thing once it is completed.
    seen = (before.name, *ancestors(steps, before.name))
    return not any(need.accepted for name in seen for need in steps[name].needs)


def worst_funding(
    steps: Mapping[str, Step], effects: Mapping[str, Effect | None]
) -> dict[str, int]:
    """By account: the most that the chain may have taken from outside, whatever the order.

    That is all it reserves, and what its decreases may exceed its pool by: the largest, over every
    set of steps that can be done without the others, of what they take less what they bring. Such
    a closure of maximal weight is found as a minimal cut.
    """
    names = list(steps)
    place = {name: index for index, name in enumerate(names)}
    needs = [[place[need.step] for need in steps[name].needs] for name in names]
    taken: dict[str, dict[int, int]] = {}  # by account: what the step at a place takes
    for name, effect in effects.items():
        for account, change in (effect or {}).items():
            taken.setdefault(account, {})[place[name]] = -change
    worst = {}
    for account, weights in taken.items():
        reserves = (at for at in weights if steps[names[at]].type == "lien.reserve")
        most = _closure(weights, needs) - sum(weights[at] for at in reserves)
        if most > 0:
            worst[account] = most
    return worst


def _closure(weights: Mapping[int, int], needs: Sequence[Sequence[int]]) -> int:
    """The largest weight of a set of nodes that holds whatever its nodes need (Picard, 1976).

    Nodes without a weight weigh nothing.
    """
    gains = sum(weight for weight in weights.values() if weight > 0)
    if not gains or min(weights.values()) >= 0:
        return gains
    size = len(needs)
    source, sink = size, size + 1
    room: list[dict[int, int]] = [{} for _ in range(size + 2)]
    for node in range(size):
        weight = weights.get(node, 0)
        if weight > 0:
            room[source][node] = weight
            room[node].setdefault(source, 0)
        elif weight < 0:
            room[node][sink] = -weight
            room[sink].setdefault(node, 0)
        for need in needs[node]:
            room[node][need] = _ENDLESS
            room[need].setdefault(node, 0)
    cut = 0
    while path := _find_path(room, source, sink):
        least = min(room[a][b] for a, b in path)
        for a, b in path:
            room[a][b] -= least
            room[b][a] = room[b].get(a, 0) + least
        cut += least
    return gains - cut


def _find_path(
    room: Sequence[Mapping[int, int]], source: int, sink: int
) -> Sequence[tuple[int, int]]:
    came: dict[int, int] = {source: source}
    waiting = deque([source])
    while waiting and sink not in came:
        node = waiting.popleft()
        for after, left in room[node].items():
            if left > 0 and after not in came:
                came[after] = node
                waiting.append(after)
    if sink not in came:
        return ()
    path = []
    node = sink
    while node != source:
        path.append((came[node], node))
        node = came[node]
    return path
