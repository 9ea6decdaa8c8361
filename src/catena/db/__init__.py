"""The only room that speaks to the database driver: connections, migrations, SQL by purpose.

Ids lose their prefix here and get it back here; rows become the ledger's own types here.
"""
