"""What moves of a world do to a chain, and what a partner's answers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from catena.chains import machine, operator
from catena.chains.chain import Chain
from catena.chains.history import Failure
from catena.chains.refusals import Command
from catena.chains.step_types import Answer, Outcome
from tests.chains.world_books import WorldBooks

if TYPE_CHECKING:
    from tests.chains.world import World

__all__ = ["ANSWERS", "COMMANDS", "Move"]


class Move(NamedTuple):
    """Something that happens, at what cost."""

    what: str
    chain: str = ""
    step: str = ""
    how: str = ""
    cost: int = 0


ANSWERS: Final = {
    "approve": Answer(Outcome.APPROVED, {"amount": 2}),
    "decline": Answer(Outcome.DECLINED, code="no"),
    "decline for now": Answer(Outcome.DECLINED, code="busy", permanent=False),
    "pending": Answer(Outcome.PENDING),
    "not found": Answer(Outcome.NOT_FOUND),
    "no answer": Answer(Outcome.UNKNOWN),
    "done, no answer": Answer(Outcome.UNKNOWN),
    "taken, no answer": Answer(Outcome.UNKNOWN),
    "slow": Answer(Outcome.UNKNOWN),
}


def _make(world: World, chain: Chain, books: WorldBooks, move: Move) -> None:
    del move
    machine.create(chain, books, replace(world.definitions[chain.id], open=True), "key")


def _start(world: World, chain: Chain, books: WorldBooks, move: Move) -> None:
    del move
    if not chain.number:
        machine.create(chain, books, world.definitions[chain.id], "key")
    machine.start(chain, books, "key")


def _timer(world: World, chain: Chain, books: WorldBooks, move: Move) -> None:
    del world, move
    machine.run(chain, books)


def _command(world: World, chain: Chain, books: WorldBooks, move: Move) -> None:
    del world
    match move.what:
        case Command.CANCEL:
            machine.cancel(chain, books, Failure("cancelled"), "key")
        case Command.HOLD:
            machine.hold(chain, books, seconds=50, then=move.how, why="review", by="key")
        case Command.RESUME:
            machine.resume(chain, books, "fine", "key")
        case Command.REJECT:
            machine.reject(chain, books, "bad", "key")
        case Command.SIGNAL:
            machine.signal(chain, books, move.how, None, "key")
        case _:
            operator.compensate(chain, books, "stuck", "key")


def _decide(world: World, chain: Chain, books: WorldBooks, move: Move) -> None:
    del world
    match move.what:
        case "retry":
            operator.retry(chain, books, move.step, "again", "key")
        case "skip":
            operator.skip(chain, books, move.step, "never mind", "key")
        case "mark_done":
            operator.mark_done(chain, books, move.step, {"amount": 2}, "seen", "key")
        case _:
            operator.mark_refused(chain, books, move.step, "not there", "key")


COMMANDS: Final[Mapping[str, Callable[[World, Chain, WorldBooks, Move], None]]] = {
    "make": _make,
    "start": _start,
    "timer": _timer,
    **dict.fromkeys(("cancel", "hold", "resume", "reject", "signal", "compensate"), _command),
    **dict.fromkeys(("retry", "skip", "mark_done", "mark_refused"), _decide),
}
