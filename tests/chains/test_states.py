"""The tables of states: whole, and the only truth about what may follow what."""

from __future__ import annotations

import pytest

from catena.chains.states import (
    CHAIN_ENDS,
    CHAIN_MOVES,
    STEP_MOVES,
    ChainState,
    Move,
    StepState,
    may_follow,
    render_states,
)


@pytest.mark.parametrize(("kind", "moves"), [(ChainState, CHAIN_MOVES), (StepState, STEP_MOVES)])
def test_every_state_is_in_the_table(
    kind: type[ChainState | StepState], moves: tuple[Move, ...]
) -> None:
    """Each can be reached from the first, none twice by the same way, and each way says when."""
    first, *rest = kind
    reached = {first}
    for _ in kind:
        reached |= {kind(move.after) for move in moves if move.before in reached}
    assert reached == {first, *rest}
    assert len({(move.before, move.after) for move in moves}) == len(moves)
    assert all(move.when for move in moves)


def test_terminal_states_absorb() -> None:
    """Nothing follows them, and something every other."""
    for state in ChainState:
        assert any(may_follow(state, after) for after in ChainState) == (state not in CHAIN_ENDS)
    for step in (StepState.FAILED, StepState.SKIPPED, StepState.COMPENSATED):
        assert not any(may_follow(step, after) for after in StepState)
    assert may_follow(StepState.PENDING, StepState.EXECUTING)


def test_the_page_shows_every_transition() -> None:
    """In its diagrams and in its tables."""
    page = render_states()
    for move in (*CHAIN_MOVES, *STEP_MOVES):
        assert f"    {move.before} --> {move.after}\n" in page
        assert f"| {move.before} | {move.after} | {move.when} |\n" in page
