"""The pure rules of liens: money on an account that belongs to one running chain.

Invariant: a lien's amount is what remains, was drawn, was released and was taken back by undo; an
account's `reserved` is what remains of all open liens on it. Never does I/O or reads a clock.
"""
