"""The bank rail at work: orders are collected, sealed, delivered; what the bank says is taken in.

Each kind of work is done by whichever process takes its turn; none of it is lost when one dies.
"""
