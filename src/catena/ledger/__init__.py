"""The pure rules of double entry: what an account is, what an entry is, and when it is refused.

Invariant: an entry that is posted keeps debits and credits equal in every currency.
Never does I/O, reads a clock or knows a driver; time and ids come in as arguments.
"""
