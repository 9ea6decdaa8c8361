"""Twins that break a rule of chains or liens: the model of chains differs from each of them."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

import pytest
from hypothesis.errors import Flaky

from tests.postgres import Database
from tests.twins.planting import Replacement, planted

EXAMPLES, STEPS = 40, 20


class Twin(NamedTuple):
    """What is wrong with it, and where it differs."""

    wrong: str
    replacement: Replacement


TWINS = [
    Twin(
        "draws without a record",
        Replacement(
            "catena.chains.forward",
            "draws=[list(draw) for draw in posted.draws] or None",
            "draws=None",
        ),
    ),
    Twin(
        "undoes in the order in which it was done",
        Replacement(
            "catena.chains.chain",
            "sorted(done, key=lambda run: -run.seq)",
            "sorted(done, key=lambda run: run.seq)",
        ),
    ),
    Twin(
        "gives what a chain was paid to everyone before the outcome",
        Replacement(
            "catena.journal.chain_books",
            "            how.spending,\n",
            "            how.spending._replace(keeps=False),\n",
        ),
    ),
    Twin(
        "lets outsiders spend what is reserved",
        Replacement("catena.ledger.entries", "posted - account.reserved < floor", "posted < floor"),
    ),
    Twin(
        "begins calls of a chain that is held",
        Replacement(
            "catena.chains.calls",
            "case StepState.PENDING if chain.state is ChainState.EXECUTING:",
            "case StepState.PENDING:",
        ),
    ),
    Twin(
        "takes an answer under an old fence",
        Replacement(
            "catena.journal.chains",
            "if row is None or row.fence != fence or begun:",
            "if row is None:",
        ),
    ),
]


@pytest.mark.long
@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.wrong)
def test_a_twin_is_caught(twin: Twin, database: Database) -> None:
    """The service differs from its model, or a check that is named for its invariant fails."""
    with planted([twin.replacement]), pytest.raises((AssertionError, Flaky)):
        import_module("tests.properties.test_chain_model").run_model(database, EXAMPLES, STEPS)
