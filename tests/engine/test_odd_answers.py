"""What a step type says can always be committed, whatever it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catena.chains.definition import Need, Step
from catena.chains.states import ChainState
from tests.engine.partners import run_partner
from tests.engine.running import run_world
from tests.engine.test_http_step import open_wallets, prove, transfer
from tests.postgres import Database

PLUGIN = """
from catena.chains.expressions import Kind
from catena.chains.step_types import Answer, Input, Outcome, StepType


class Odd:
    type = StepType("odd", {"what": Input(Kind.STRING)}, {"text": Kind.ANY, "n": Kind.INT})

    def check(self, inputs, compensation, ledger_id):
        return ()

    async def call(self, call):
        return {
            "half": Answer(Outcome.APPROVED, {"text": "\\ud800", "n": 3}),
            "nul": Answer(Outcome.APPROVED, {"text": ["\\0"], "n": 3}),
            "huge": Answer(Outcome.APPROVED, {"text": "x" * 9_000_000, "n": 3}),
            "set": Answer(Outcome.APPROVED, {"text": {1, 2}, "n": 3}),
            "no": Answer(Outcome.DECLINED, ["no"], "Odd\\0", "\\ud800 is odd"),
        }[call.inputs["what"]]
"""


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[None]:
    """The step type `odd`, found by its entry point."""
    (tmp_path / "odd-1.dist-info").mkdir()
    files = {
        "odd-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: odd\nVersion: 1\n",
        "odd-1.dist-info/entry_points.txt": "[catena.steps]\nodd = odd_step:Odd\n",
        "odd_step.py": PLUGIN,
    }
    for file, text in files.items():
        (tmp_path / file).write_text(text, "utf-8")
    sys.path.insert(0, str(tmp_path))
    yield
    sys.path.remove(str(tmp_path))
    sys.modules.pop("odd_step", None)


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("what", ["half", "nul", "huge", "set"])
async def test_an_approval_is_committed(database: Database, what: str) -> None:
    """Of its result what can be kept: what follows uses it."""
    async with run_world(database) as world:
        a, b = await open_wallets(world, 100, 0)
        chain = await world.scribe.chain(
            Step("odd", "odd", {"what": what}),
            transfer("pay", a, b, {"cel": "steps.odd.n"}, "odd"),
        )
        ended = await world.ended(chain.id)
        assert ended.state is ChainState.COMPLETED
        assert ended.steps["odd"].result == {"text": None, "n": 3}
        assert ended.steps["pay"].result["amount"] == 3
        await prove(world)


@pytest.mark.usefixtures("odd")
async def test_a_refusal_is_committed(database: Database) -> None:
    """With what can be printed of its reason."""
    async with run_world(database) as world:
        chain = await world.scribe.chain(Step("odd", "odd", {"what": "no"}))
        failure = (await world.ended(chain.id)).failure
        assert failure is not None
        assert (failure.code, failure.detail) == ("declined", "is odd")


@pytest.mark.parametrize("text", ["string(steps.say.body.long)", "''"])
async def test_a_correlation_that_is_none_behind_the_pivot_parks(
    database: Database, text: str
) -> None:
    """The partner is asked once: what it did is committed, and the wait is in sight."""
    async with run_partner() as partner, run_world(database) as world:
        partner.script["/say"] = [{"long": "x" * 9_000}]
        chain = await world.scribe.chain(
            Step("say", "http", {"url": f"{partner.url}/say"}, pivot=True),
            Step("wait", "wait", {"correlation": {"cel": text}}, (Need("say"),)),
        )
        parked = await world.until(chain.id, lambda it: bool(it.steps["wait"].parked))
        assert parked.state is ChainState.EXECUTING
        failure = parked.steps["wait"].failure
        assert failure is not None
        assert failure.detail == "correlation: This text is 1 to 500 characters long."
        assert len(partner.heard) == 1
        await prove(world)
