"""Who is calling, and what they may do.

Invariant: a secret is shown once and kept only as a hash; nothing is open without a scope.
"""
