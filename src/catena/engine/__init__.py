"""The workers: they take what is due, call partners with no transaction open, and commit answers.

Invariant: every result is committed by the journal under the fence of the work it belongs to, so
that one who was taken for dead writes nothing. Any worker can take over from any other at any time.
"""
