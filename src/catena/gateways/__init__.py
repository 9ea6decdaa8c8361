"""Payment gateways and bank rails behind one contract; nothing here can touch money.

The engine calls them through steps of chains, and gives what their webhooks say to the journal.
"""
