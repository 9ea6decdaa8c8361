"""A payment gateway to play with: a process of its own, and no part of the books.

Nothing here knows chains, journal or database, and only the command line imports it. What it can
be made to do is in docs/reference/sandbox.md.
"""
