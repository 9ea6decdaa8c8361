"""The business: one chain a file. Money that comes in and goes out by way of gateways.

Each flow is a definition, made of what the caller asked for, and what is read from its chain.
"""
