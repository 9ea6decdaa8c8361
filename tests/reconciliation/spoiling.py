"""Every way in which the rows of reconciliation can be spoiled, as a table: what a proof names."""

from __future__ import annotations

from typing import Final

from tests.corruptions import Corruption

__all__ = ["RECONCILIATION_CORRUPTIONS"]

RECONCILIATION_CORRUPTIONS: Final = (
    Corruption(
        "a line of a statement is deleted",
        "DELETE FROM statement_lines WHERE id = 't1'",
        {"statements statement", "reconciled_lines run"},
    ),
    Corruption(
        "a statement skips a number",
        "UPDATE statement_imports SET number = number + 1, lines = 0 WHERE number = 2",
        {"statements statement"},
    ),
    Corruption(
        "a run says another balance",
        "UPDATE reconciliations"
        " SET figures = jsonb_set(figures, '{USD,books_closing}', '1') WHERE number = 2",
        {"run_figures run"},
    ),
    Corruption(
        "a run begins with something else",
        "UPDATE reconciliations"
        " SET figures = jsonb_set(figures, '{USD,statement_opening}', '1') WHERE number = 2",
        {"run_figures run"},
    ),
    Corruption(
        "a line is matched twice",
        "INSERT INTO reconciliation_findings"
        " SELECT ledger_id, gateway, 2, 99, kind, how, ours, theirs, NULL, NULL, false"
        " FROM reconciliation_findings"
        " WHERE kind = 'matched' AND 't1' = ANY (theirs)",
        {"reconciled_lines run"},
    ),
    Corruption(
        "an item is said to be settled",
        "UPDATE reconciliation_items SET state = 'cleared' WHERE state = 'open'",
        {"item_changes item"},
    ),
    Corruption(
        "an item was settled by another entry",
        "UPDATE reconciliation_changes SET entry_id = gen_random_uuid() WHERE state = 'resolved'",
        {"item_changes item"},
    ),
    Corruption(
        "an item's finding is deleted",
        "DELETE FROM reconciliation_findings WHERE item_id ="
        " (SELECT item_id FROM reconciliation_items WHERE state = 'open')",
        {"item_findings item"},
    ),
)
