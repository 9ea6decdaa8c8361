"""The HTTP API: requests in, problem documents and resources out.

Invariant: what a route needs to decide about money is decided by the journal; this room decodes,
authorises and renders. HTTP statuses live here alone.
"""
