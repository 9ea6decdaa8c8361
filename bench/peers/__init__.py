"""Peers: other people's engines on the same PostgreSQL, each in an environment of its own."""
