"""The figures: the service and pgbench side by side on one PostgreSQL, in interleaved rounds.

Each scenario brings probes (one measured run each) and figures (ratios of probes of one round).
`python -m bench` runs them; README.md tells how, and keeps the history of results.
"""
