"""The one road to partners: an HTTP client whose outcomes are values, and signatures.

Invariant: nothing here can touch money, and no answer is guessed: sent, not sent, or not known.
"""
