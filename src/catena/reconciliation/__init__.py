"""Reconciliation: what our clearing accounts say, held against what gateways and banks say.

Statements come in (`reports`, `statements`), are matched with our lines
(`matching`), become a work list (`work`) with the entries that would settle it (`adjustments`),
and a report for people (`sheets`, `report_csv`, `report_html`).
"""
