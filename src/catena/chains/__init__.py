"""The pure rules of chains: money movements and outside calls that happen all or not at all.

Invariant: a chain's state is the fold of its history; every transition is one of `states`, and is
an event. Never does I/O, never reads a clock: what happened and when is told.
"""
