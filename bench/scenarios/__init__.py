"""The scenarios, in the order in which they run within a round."""

from bench.scenarios import balances, baseline, batches, growth, history, memory, transfers

__all__ = ["SCENARIOS"]

SCENARIOS = (
    baseline.SCENARIO,
    transfers.SCENARIO,
    batches.SCENARIO,
    balances.SCENARIO,
    growth.SCENARIO,
    history.SCENARIO,
    memory.SCENARIO,
)
