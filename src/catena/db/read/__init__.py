"""What callers read of the books, one file a purpose: balances, accounts, entries, histories.

Invariant: nothing here writes or locks, and no read costs more because its account or ledger is
long: every statement walks an index, and what filters looks at a bounded number of rows. As in
catena.db.load, `OFFSET 0` is a fence: behind it a row is looked up by its whole key.
"""
