"""A clock of the database's that stands still but for what the simulator moves it by.

In a simulated database `catena.clock_timestamp()` stands before PostgreSQL's own, for the service
and for the journal's functions. Nothing that is stored is edited, so leases, backoffs, look-ups,
timeouts, holds and liens pass by one and the same clock, which only goes forward.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncpg

__all__ = ["SEARCH_PATH", "SimulatedClock", "install_clock"]

SEARCH_PATH: Final = "SET search_path = catena, pg_catalog"
"""What a session says to see the simulated clock. Unsaid, PostgreSQL's own is found first."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# A sequence is no part of any transaction: a commit that is rolled back has read the clock, too.
_INSTALL: Final = """
CREATE SEQUENCE IF NOT EXISTS simulated_clock;
SELECT setval('simulated_clock', (extract(epoch FROM pg_catalog.clock_timestamp()) * 1e6)::bigint);
CREATE OR REPLACE FUNCTION clock_timestamp() RETURNS timestamptz
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
SELECT timestamptz '1970-01-01 00:00:00+00'
       + nextval('catena.simulated_clock') * interval '1 microsecond'
$$;
GRANT EXECUTE ON FUNCTION clock_timestamp() TO catena_service;
DO $$
DECLARE
    found regprocedure;
BEGIN
    FOR found IN SELECT oid::regprocedure FROM pg_proc
                  WHERE pronamespace = 'catena'::regnamespace
                    AND array_to_string(proconfig, ',') LIKE '%search_path=catena, pg_temp%'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = catena, pg_catalog, pg_temp', found);
    END LOOP;
END
$$"""


async def install_clock(owner: asyncpg.Connection[asyncpg.Record]) -> SimulatedClock:
    """Have the database tell simulated time, from now on; `owner` is the schema's."""
    await owner.execute(_INSTALL)
    clock = SimulatedClock(owner)
    await clock.read()
    return clock


class SimulatedClock:
    """The time of the simulated world. It ticks a microsecond whenever it is read."""

    def __init__(self, owner: asyncpg.Connection[asyncpg.Record]) -> None:
        self._owner = owner
        self.now = _EPOCH

    async def read(self) -> dt.datetime:
        """Look at it without moving it."""
        ticks: int = await self._owner.fetchval("SELECT last_value FROM catena.simulated_clock")
        self.now = _EPOCH + dt.timedelta(microseconds=ticks)
        return self.now

    async def move_to(self, moment: dt.datetime) -> None:
        """Let time pass until then; never back."""
        ticks = (moment - _EPOCH) // dt.timedelta(microseconds=1) + 1
        await self._owner.execute(
            "SELECT setval('catena.simulated_clock',"
            " greatest($1, (SELECT last_value FROM catena.simulated_clock)))",
            ticks,
        )
        await self.read()
