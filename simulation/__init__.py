"""Seeded worlds: real journals and workers over a real PostgreSQL, crashed at every boundary.

Invariant: nothing of the product is replaced. Only what is outside of it is ours: connections that
break, processes that die or sleep, partners, clients, and the clock.
"""
