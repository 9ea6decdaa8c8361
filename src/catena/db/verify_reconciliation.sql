-- The checks of reconciliation, written as in verify.sql: that what runs have said follows from
-- statements and from our lines, and that the work list is what its changes make of it.

-- check: statements over ledger names statement
-- A gateway's statements are numbered without gaps, and each has the lines that it brought.
SELECT s.import_id AS id, s.number, NULL::bigint AS position,
       format('number %s with %s lines', s.rank, coalesce(l.lines, 0)) AS expected,
       format('number %s with %s lines', s.number, s.lines) AS found
  FROM (SELECT *, row_number() OVER (PARTITION BY gateway ORDER BY number) AS rank
          FROM statement_imports WHERE ledger_id = $1) AS s
  LEFT JOIN (SELECT gateway, import, count(*) AS lines
               FROM statement_lines WHERE ledger_id = $1 GROUP BY gateway, import) AS l
         ON l.gateway = s.gateway AND l.import = s.number
 WHERE s.number <> s.rank OR s.lines <> coalesce(l.lines, 0);

-- check: run_figures over ledger names run
-- A gateway's runs are numbered without gaps, and each begins where the one before it ended, but for
-- what it learned of lines from before the first; our clearing account had at its last line what the run says.
WITH runs AS (
    SELECT run_id, gateway, number, position, begins, until, lines_read, imports_read,
           figures, lag(figures) OVER following AS figures_before,
           row_number() OVER following AS rank,
           lag(until) OVER following AS until_before,
           coalesce(lag(imports_read) OVER following, 0) AS imports_before
      FROM reconciliations WHERE ledger_id = $1
    WINDOW following AS (PARTITION BY gateway ORDER BY number)
), closing AS (
    SELECT r.run_id, r.number, r.position, f.currency,
           (f.one ->> 'books_closing')::numeric AS told,
           coalesce((SELECT l.debits::numeric - l.credits
                       FROM accounts a
                       JOIN lines l ON l.ledger_id = $1 AND l.account_id = a.account_id
                                   AND l.number = (r.lines_read ->> f.currency)::bigint
                      WHERE a.ledger_id = $1 AND a.role = 'clearing.' || r.gateway
                        AND a.currency = f.currency), 0) AS sum
      FROM runs r CROSS JOIN LATERAL jsonb_each(r.figures) AS f (currency, one)
), opening AS (
    SELECT r.run_id, r.number, r.position, f.currency, side,
           (f.one ->> (side || '_opening'))::numeric AS told,
           coalesce((r.figures_before -> f.currency ->> (side || '_closing'))::numeric, 0)
           + CASE side WHEN 'statement' THEN (f.one ->> 'lead_in')::numeric ELSE 0 END AS sum
      FROM runs r CROSS JOIN LATERAL jsonb_each(r.figures) AS f (currency, one)
     CROSS JOIN unnest(ARRAY['books', 'statement']) AS side
     WHERE r.rank > 1
)
SELECT run_id AS id, number, position,
       format('number %s from %s on', rank, coalesce(until_before, begins)) AS expected,
       format('number %s from %s on', number, begins) AS found
  FROM runs
 WHERE number <> rank OR begins <> coalesce(until_before, begins) OR imports_read < imports_before
 UNION ALL
SELECT run_id, number, position, format('%s %s at the end of the books', sum, currency), told::text
  FROM closing WHERE told <> sum
 UNION ALL
SELECT run_id, number, position, format('%s %s at the beginning of the %s', sum, currency, side),
       told::text
  FROM opening WHERE told <> sum;

-- check: reconciled_lines over ledger names run
-- What a run has matched is there, on our side or theirs, and is matched once.
WITH told AS (
    SELECT f.gateway, f.number, u.side, u.line, f.kind = 'matched' AS matched
      FROM reconciliation_findings f
     CROSS JOIN LATERAL (SELECT 'ours' AS side, unnest(f.ours) AS line
                          UNION ALL SELECT 'theirs', unnest(f.theirs)) AS u
     WHERE f.ledger_id = $1
), there AS (
    SELECT 'ours' AS side, substr(a.role, 10) AS gateway,
           'ent_' || replace(e.entry_id::text, '-', '') || '/' || l.ordinal AS line
      FROM accounts a
      JOIN lines l ON l.ledger_id = $1 AND l.account_id = a.account_id
      JOIN entries e ON e.ledger_id = $1 AND e.position = l.position
     WHERE a.ledger_id = $1 AND a.role LIKE 'clearing.%'
     UNION ALL
    SELECT 'theirs', gateway, id FROM statement_lines WHERE ledger_id = $1
)
SELECT r.run_id AS id, w.number, NULL::bigint AS position, w.expected, w.found
  FROM (SELECT t.gateway, t.number, format('line %s of %s', t.line, t.side) AS expected,
               'no such line' AS found
          FROM told t LEFT JOIN there h USING (gateway, side, line)
         WHERE h.line IS NULL
         UNION ALL
        SELECT gateway, max(number), format('line %s of %s matched once', line, side),
               format('%s times', count(*))
          FROM told WHERE matched GROUP BY gateway, side, line HAVING count(*) > 1) AS w
  JOIN reconciliations r ON r.ledger_id = $1 AND r.gateway = w.gateway AND r.number = w.number;

-- check: item_changes over ledger names item
-- An item of the work list is as the last of its changes left it; they are numbered without gaps,
-- and what resolved it is an entry that bears its id.
SELECT i.item_id AS id, NULL::bigint AS number, NULL::bigint AS position,
       format('%s after %s changes', coalesce(c.state, 'nothing'), coalesce(c.changes, 0)) AS expected,
       format('%s after %s', i.state, i.changes) AS found
  FROM reconciliation_items i
  LEFT JOIN (SELECT item_id, count(*) AS changes, max(number) AS last,
                    (array_agg(state ORDER BY number DESC))[1]::text AS state
               FROM reconciliation_changes WHERE ledger_id = $1 GROUP BY item_id) AS c
         ON c.item_id = i.item_id
 WHERE i.ledger_id = $1
   AND (c.changes IS DISTINCT FROM i.changes OR c.last <> i.changes OR c.state <> i.state)
 UNION ALL
SELECT c.item_id, c.number, NULL, 'an entry with the id of the item',
       coalesce(e.reference, 'no entry')
  FROM reconciliation_changes c
  LEFT JOIN entries e ON e.ledger_id = $1 AND e.entry_id = c.entry_id
 WHERE c.ledger_id = $1 AND c.entry_id IS NOT NULL
   AND split_part(coalesce(e.reference, ''), '#', 1)
       <> 'rec_' || replace(c.item_id::text, '-', '');

-- check: item_findings over ledger names item
-- What an item is about is a finding of the run that it names.
SELECT i.item_id AS id, NULL::bigint AS number, NULL::bigint AS position,
       format('a finding of run %s', i.run) AS expected, 'none' AS found
  FROM reconciliation_items i
 WHERE i.ledger_id = $1
   AND NOT EXISTS (SELECT FROM reconciliation_findings f
                    WHERE f.ledger_id = $1 AND f.item_id = i.item_id AND f.number = i.run);
