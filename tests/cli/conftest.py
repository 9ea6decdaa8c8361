"""Fixtures that several tests of the command line share."""

from tests.corruptions import spoiled, written_story

__all__ = ["spoiled", "written_story"]
