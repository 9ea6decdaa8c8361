"""What a chain is asked to be: frozen data, as it stands in the chain's first event.

Invariant: names are unique, dependencies name steps, and nested groups are flat ("pay.charge").
What a definition may not ask for is said in `validator`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

__all__ = [
    "NO_RETRY",
    "Claim",
    "Definition",
    "Family",
    "Need",
    "Retry",
    "Step",
    "describe_definition",
    "describe_step",
    "family_of",
    "flatten",
    "read_definition",
    "read_step",
]

Inputs = Mapping[str, Any]
"""Constants as JSON has them; an expression is the object {"cel": "..."}."""


class Family(StrEnum):
    """How a step is carried out."""

    LEDGER = "ledger"
    """It posts an entry, in the journal's own commit."""
    LIEN = "lien"
    OUTSIDE = "outside"
    """It calls somebody, and posts nothing."""
    WAIT = "wait"
    GROUP = "group"
    """It is done when the steps that it names are done."""


_FAMILIES: Final = {
    **dict.fromkeys(
        (
            "transfer",
            "deposit",
            "withdrawal",
            "fee",
            "exchange",
            "entry",
            "reversal",
            "refund",
            "capture",
        ),
        Family.LEDGER,
    ),
    **dict.fromkeys(("lien.reserve", "lien.extend", "lien.release"), Family.LIEN),
    "wait": Family.WAIT,
    "chain": Family.GROUP,
}


def family_of(type: str) -> Family:
    """The family of a step type; every type that is not built in calls somebody."""
    return _FAMILIES.get(type, Family.OUTSIDE)


@dataclass(frozen=True, slots=True)
class Need:
    """A step that must be done first. `accepted`: it is enough that the partner has taken it."""

    step: str
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """When a step that was refused for now is tried again: exponential backoff with full jitter.

    `never` names codes of refusals that are final at once. Seconds.
    """

    attempts: int = 1
    first_seconds: float = 1.0
    cap_seconds: float = 60.0
    never: frozenset[str] = frozenset()

    def longest_wait(self, attempt: int) -> float:
        """The upper end of the wait after this attempt (from 1), in seconds."""
        return min(self.cap_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 62))


NO_RETRY: Final = Retry()


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a chain. `when`: conditions that all must hold, else it is skipped.

    `timeout_seconds`: from its first dispatch. `goes_on`: a wait whose time runs out is completed
    and not failed. `compensation`: what undoes it, in the words of its type; None where nothing
    needs undoing or the chain undoes it by itself. `family`: how it is carried out, by its type.
    """

    name: str
    type: str
    inputs: Inputs
    needs: Sequence[Need] = ()
    when: Sequence[str] = ()
    retry: Retry = NO_RETRY
    timeout_seconds: float | None = None
    goes_on: bool = False
    compensation: Inputs | None = None
    pivot: bool = False
    family: Family = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "family", family_of(self.type))


class Claim(NamedTuple):
    """A reference that a chain has in the place of an entry of this type: unique for ever.

    `content` fingerprints what was sent under it.
    """

    type: str
    reference: str
    content: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A chain before it is anything else. `reference` is to search by, `claim` its alone.

    `open`: it is not started, and takes more steps. Metadata is JSON. Seconds.
    """

    steps: Sequence[Step]
    type: str = "chain"
    reference: str | None = None
    description: str | None = None
    metadata: Mapping[str, Any] | None = None
    timeout_seconds: float | None = None
    open: bool = False
    claim: Claim | None = None


def read_step(row: Mapping[str, Any]) -> Step:
    """A step from its JSON, as `describe_step` writes it."""
    retry = row.get("retry")
    return Step(
        row["name"],
        row["type"],
        row.get("inputs", {}),
        tuple(
            Need(need) if isinstance(need, str) else Need(need["step"], accepted=True)
            for need in row.get("needs", ())
        ),
        tuple(row.get("when", ())),
        NO_RETRY
        if retry is None
        else Retry(retry["attempts"], retry["first"], retry["cap"], frozenset(retry["never"])),
        row.get("timeout"),
        row.get("goes_on", False),
        row.get("compensation"),
        row.get("pivot", False),
    )


def describe_step(step: Step) -> dict[str, Any]:
    """A step as JSON, without what is not set."""
    retry = step.retry
    row: dict[str, Any] = {"name": step.name, "type": step.type}
    if step.inputs:
        row["inputs"] = step.inputs
    if step.needs:
        row["needs"] = [
            {"step": need.step, "phase": "accepted"} if need.accepted else need.step
            for need in step.needs
        ]
    if step.when:
        row["when"] = list(step.when)
    if retry is not NO_RETRY:
        row["retry"] = {
            "attempts": retry.attempts,
            "first": retry.first_seconds,
            "cap": retry.cap_seconds,
            "never": sorted(retry.never),
        }
    rest = {
        "timeout": step.timeout_seconds,
        "goes_on": step.goes_on,
        "compensation": step.compensation,
        "pivot": step.pivot,
    }
    return row | {name: value for name, value in rest.items() if value}


def describe_definition(definition: Definition) -> dict[str, Any]:
    """What the event that creates a chain says."""
    return {
        "type": definition.type,
        "reference": definition.reference,
        "description": definition.description,
        "metadata": definition.metadata,
        "timeout": definition.timeout_seconds,
        "open": definition.open or None,
        "claim": definition.claim,
        "steps": [describe_step(step) for step in definition.steps],
    }


def read_definition(row: Mapping[str, Any]) -> Definition:
    """A definition from its JSON, but for its steps: they are read as those appended later are."""
    claim = row.get("claim")
    return Definition(
        (),
        row["type"],
        row.get("reference"),
        row.get("description"),
        row.get("metadata"),
        row.get("timeout"),
        row.get("open", False),
        None if claim is None else Claim(*claim),
    )


def flatten(group: Step, members: Sequence[Step]) -> Iterator[Step]:
    """A group and its steps as steps of the chain; `members` name each other without its name.

    What stands first in the group waits for what the group depends on; the group is done when all
    of its steps are; its conditions are theirs. A lien is named as a dependency is; an expression
    says the whole name.
    """
    names = {member.name for member in members}
    for member in members:
        needs = [
            Need(f"{group.name}.{need.step}", need.accepted) if need.step in names else need
            for need in member.needs
        ]
        within = any(need.step in names for need in member.needs)
        lien = member.inputs.get("lien")
        own = {"lien": f"{group.name}.{lien}"} if lien in names else {}
        yield Step(
            f"{group.name}.{member.name}",
            member.type,
            {**member.inputs, **own},
            tuple(needs if within else [*needs, *group.needs]),
            (*group.when, *member.when),
            member.retry,
            member.timeout_seconds,
            member.goes_on,
            member.compensation,
            member.pivot,
        )
    yield Step(
        group.name,
        group.type,
        {},
        tuple(Need(f"{group.name}.{member.name}") for member in members),
    )
