"""Step types that have something to open and to close."""

from __future__ import annotations

import asyncio

import pytest

from catena.chains.step_types import Answer, Call, Outcome, StepType
from catena.engine.plugins import opening
from catena.errors import SetupError


class Plain:
    """A step type with nothing to open."""

    def __init__(self, name: str = "plain") -> None:
        self.type = StepType(name, {}, {})

    def check(self, inputs: object, compensation: object, ledger_id: str) -> tuple[()]:
        """All is well."""
        del inputs, compensation, ledger_id
        return ()

    async def call(self, call: Call) -> Answer:
        """All is done."""
        del call
        return Answer(Outcome.APPROVED)


class Opened(Plain):
    """One that tells when it is entered and left. `fails`: in, out, or never coming out."""

    def __init__(self, name: str, told: list[str], fails: str = "") -> None:
        super().__init__(name)
        self._told = told
        self._fails = fails

    async def __aenter__(self) -> None:
        self._told.append(f"{self.type.name} in")
        if self._fails == "in":
            raise OSError("No connection.")

    async def __aexit__(self, *_: object) -> None:
        self._told.append(f"{self.type.name} out")
        if self._fails == "out":
            raise OSError("No connection.")
        if self._fails == "never":
            await asyncio.Event().wait()


@pytest.mark.parametrize("fails", ["", "out", "never"])
async def test_step_types_are_left_in_reverse_order(fails: str) -> None:
    """Each once, whatever another does; the stop waits for none of them long."""
    told: list[str] = []
    async with opening([Opened("a", told), Plain(), Opened("b", told, fails)], 0.05):
        assert told == ["a in", "b in"]
    assert told == ["a in", "b in", "b out", "a out"]


async def test_one_that_cannot_be_entered_ends_the_start() -> None:
    """Those that were entered before it are left."""
    told: list[str] = []
    wrong = Opened("b", told, "in")
    with pytest.raises(SetupError, match="step type b cannot be opened: No connection"):
        async with opening([Opened("a", told), wrong, Opened("c", told)], 1.0):
            raise AssertionError
    assert told == ["a in", "b in", "a out"]
