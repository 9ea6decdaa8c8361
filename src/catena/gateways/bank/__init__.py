"""The bank rail: SEPA credit transfers out as files, statements and returns in as files.

Bytes in and plain data out, or the other way round. It stores nothing and moves nothing: the
engine collects orders, seals files, and gives what the bank says to the journal.
"""
