"""The scenarios, in the order in which they run within a round."""

from bench.scenarios import (
    balances,
    baseline,
    batches,
    chains,
    deposits,
    growth,
    history,
    intake,
    memory,
    previews,
    takeover,
    transfers,
    waking,
    workers,
    workflows,
)

__all__ = ["SCENARIOS"]

SCENARIOS = (
    baseline.SCENARIO,
    transfers.SCENARIO,
    batches.SCENARIO,
    balances.SCENARIO,
    growth.SCENARIO,
    history.SCENARIO,
    memory.SCENARIO,
    workflows.SCENARIO,
    chains.SCENARIO,
    workers.SCENARIO,
    waking.SCENARIO,
    takeover.SCENARIO,
    previews.SCENARIO,
    deposits.SCENARIO,
    intake.SCENARIO,
)
