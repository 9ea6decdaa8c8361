"""Fixtures that several tests of the database share."""

from tests.chain_corruptions import spoiled_chains, written_chains
from tests.corruptions import spoiled, written_story

__all__ = ["spoiled", "spoiled_chains", "written_chains", "written_story"]
