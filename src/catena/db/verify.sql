-- Every check of `catena verify`: a query that gives the rows of one ledger that are not as they
-- must be, recomputed from the lines alone. No row: the check holds.
--
-- Each has a name, what it goes over (`positions` and `accounts` come in ranges, $2 to $3 with both
-- ends; `ledger` at once) and the kind of row that it names. It gives id, number, position, and in
-- words what is expected and what was found; one that makes several claims also says which `check`
-- failed. $1 is the ledger. Sums are `numeric`: they cannot overflow, whatever a broken book holds.

-- check: ledger_counter over ledger names ledger
-- The ledger has its counter, and the last commit's time is not before anything recorded.
SELECT NULL::uuid AS id, NULL::bigint AS number, p.position,
       coalesce('last commit at ' || latest.recorded_at, 'a counter') AS expected,
       coalesce(p.recorded_at::text, 'none') AS found
  FROM (SELECT max(recorded_at) AS recorded_at
          FROM (SELECT recorded_at FROM entries WHERE ledger_id = $1
                 UNION ALL
                SELECT recorded_at FROM events WHERE ledger_id = $1) AS everything) AS latest
  LEFT JOIN positions p ON p.ledger_id = $1
 WHERE p.position IS NULL OR p.recorded_at < latest.recorded_at;

-- check: ledger_balance over ledger names ledger
-- In each currency the debits of the whole ledger equal its credits (I1).
SELECT NULL::uuid AS id, NULL::bigint AS number, NULL::bigint AS position,
       format('%s credits of %s', currency, debits) AS expected, credits::text AS found
  FROM (SELECT currency,
               coalesce(sum(amount) FILTER (WHERE is_debit), 0) AS debits,
               coalesce(sum(amount) FILTER (WHERE NOT is_debit), 0) AS credits
          FROM lines WHERE ledger_id = $1 GROUP BY currency) AS totals
 WHERE debits <> credits;

-- check: positions over positions names position
-- Entries and events share one numbering, 1 to the ledger's counter: no gap, nothing twice.
WITH counter AS (
    SELECT position AS last FROM positions WHERE ledger_id = $1
), taken AS (
    SELECT position FROM entries WHERE ledger_id = $1 AND position BETWEEN $2 AND $3
     UNION ALL
    SELECT position FROM events WHERE ledger_id = $1 AND position BETWEEN $2 AND $3
), steps AS (
    SELECT position, lag(position) OVER (ORDER BY position) AS before
      FROM (SELECT position FROM taken, counter WHERE position BETWEEN 1 AND last
             UNION ALL SELECT greatest($2::bigint, 1) - 1 FROM counter
             UNION ALL SELECT least($3::bigint, last) + 1 FROM counter) AS with_ends
)
SELECT NULL::uuid AS id, NULL::bigint AS number, before + 1 AS position,
       'an entry or an event' AS expected,
       CASE WHEN position - before = 2 THEN 'nothing'
            ELSE format('nothing up to %s', position - 1) END AS found
  FROM steps WHERE position - before > 1
 UNION ALL
SELECT NULL, NULL, position, 'an entry or an event', 'both' FROM steps WHERE position = before
 UNION ALL
SELECT NULL, NULL, position, format('positions 1 to %s', last), 'an entry or event outside them'
  FROM taken, counter WHERE position NOT BETWEEN 1 AND last;

-- check: position_order over positions names position
-- Later positions are never recorded earlier.
WITH recorded AS (
    SELECT position, recorded_at FROM entries WHERE ledger_id = $1 AND position BETWEEN $2 AND $3
     UNION ALL
    SELECT position, recorded_at FROM events WHERE ledger_id = $1 AND position BETWEEN $2 AND $3
     UNION ALL
    (SELECT position, recorded_at FROM entries WHERE ledger_id = $1 AND position < $2
      ORDER BY position DESC LIMIT 1)
     UNION ALL
    (SELECT position, recorded_at FROM events WHERE ledger_id = $1 AND position < $2
      ORDER BY position DESC LIMIT 1)
)
SELECT NULL::uuid AS id, NULL::bigint AS number, position,
       format('recorded at %s or later', before) AS expected, recorded_at::text AS found
  FROM (SELECT position, recorded_at, lag(recorded_at) OVER (ORDER BY position) AS before
          FROM recorded) AS steps
 WHERE recorded_at < before AND position >= $2;

-- check: entry_ids over positions names entry
-- An entry's id carries its position in its last 46 bits.
SELECT entry_id AS id, NULL::bigint AS number, position,
       format('an id of position %s', position) AS expected,
       format('position %s', carried) AS found
  FROM (SELECT entry_id, position,
               ('x' || right(entry_id::text, 12))::bit(48)::bigint & 70368744177663 AS carried
          FROM entries WHERE ledger_id = $1 AND position BETWEEN $2 AND $3) AS ids
 WHERE carried <> position;

-- check: event_ids over positions names event
-- An event's id carries its position in its last 46 bits.
SELECT event_id AS id, NULL::bigint AS number, position,
       format('an id of position %s', position) AS expected,
       format('position %s', carried) AS found
  FROM (SELECT event_id, position,
               ('x' || right(event_id::text, 12))::bit(48)::bigint & 70368744177663 AS carried
          FROM events WHERE ledger_id = $1 AND position BETWEEN $2 AND $3) AS ids
 WHERE carried <> position;

-- check: entry_dates over positions names entry
-- An entry never counts from a moment after it was recorded.
SELECT entry_id AS id, NULL::bigint AS number, position,
       format('effective at %s or before', recorded_at) AS expected, effective_at::text AS found
  FROM entries
 WHERE ledger_id = $1 AND position BETWEEN $2 AND $3 AND effective_at > recorded_at;

-- check: entry_balance over positions names entry
-- In each entry and currency, debits equal credits (I1).
SELECT e.entry_id AS id, NULL::bigint AS number, l.position,
       format('%s credits of %s', l.currency, l.debits) AS expected, l.credits::text AS found
  FROM (SELECT position, currency,
               coalesce(sum(amount) FILTER (WHERE is_debit), 0) AS debits,
               coalesce(sum(amount) FILTER (WHERE NOT is_debit), 0) AS credits
          FROM lines WHERE ledger_id = $1 AND position BETWEEN $2 AND $3
         GROUP BY position, currency) AS l
  LEFT JOIN entries e ON e.ledger_id = $1 AND e.position = l.position
 WHERE l.debits <> l.credits;

-- check: entry_lines over positions names entry
-- An entry has two lines or more, with ordinals 1, 2, 3 and so on.
SELECT e.entry_id AS id, NULL::bigint AS number, e.position,
       'lines 1 to n, two or more' AS expected, coalesce(l.ordinals, 'none') AS found
  FROM entries e
  LEFT JOIN (SELECT position, count(*) AS lines, min(ordinal) AS first, max(ordinal) AS last,
                    count(DISTINCT ordinal) AS different,
                    string_agg(ordinal::text, ', ' ORDER BY ordinal) AS ordinals
               FROM lines WHERE ledger_id = $1 AND position BETWEEN $2 AND $3
              GROUP BY position) AS l ON l.position = e.position
 WHERE e.ledger_id = $1 AND e.position BETWEEN $2 AND $3
   AND (l.position IS NULL OR l.lines < 2 OR l.first <> 1 OR l.last <> l.lines
        OR l.different <> l.lines);

-- check: line_entry over positions names line
-- Each line belongs to an entry, and has its entry's times.
SELECT l.account_id AS id, l.number, l.position,
       coalesce(format('recorded at %s, effective at %s', e.recorded_at, e.effective_at),
                'an entry') AS expected,
       CASE WHEN e.position IS NULL THEN 'none'
            ELSE format('recorded at %s, effective at %s', l.recorded_at, l.effective_at)
       END AS found
  FROM lines l LEFT JOIN entries e ON e.ledger_id = $1 AND e.position = l.position
 WHERE l.ledger_id = $1 AND l.position BETWEEN $2 AND $3
   AND (e.position IS NULL OR e.recorded_at <> l.recorded_at OR e.effective_at <> l.effective_at);

-- check: line_account over positions names line
-- Each line belongs to an account, and has its account's currency.
SELECT l.account_id AS id, l.number, l.position,
       coalesce(a.currency, 'an account') AS expected,
       CASE WHEN a.account_id IS NULL THEN 'none' ELSE l.currency END AS found
  FROM lines l LEFT JOIN accounts a ON a.ledger_id = $1 AND a.account_id = l.account_id
 WHERE l.ledger_id = $1 AND l.position BETWEEN $2 AND $3
   AND a.currency IS DISTINCT FROM l.currency;

-- check: line_amounts over positions names line
-- A line moves more than nothing; which way is for its side to say.
SELECT account_id AS id, number, position, '1 or more' AS expected, amount::text AS found
  FROM lines WHERE ledger_id = $1 AND position BETWEEN $2 AND $3 AND amount < 1;

-- check: line_numbers, line_order, running_totals over accounts names line
-- An account's lines are numbered 1, 2, 3 and so on; they are numbered in the order of positions,
-- of ordinals within an entry, and of time; and the totals on a line are the sums up to it (I2).
-- Three claims in one pass, since sorting the lines is what costs. After a line whose totals are
-- wrong, those that only carry its error on are right about their own amounts: they are not named.
-- (Where the line before is right, being wrong about the sum and about the step are the same.)
WITH steps AS (
    SELECT account_id, number, position, ordinal, recorded_at, debits, credits,
           CASE WHEN is_debit THEN amount ELSE 0 END AS debit,
           CASE WHEN is_debit THEN 0 ELSE amount END AS credit,
           lag(number, 1, 0::bigint) OVER w AS number_before,
           lag(position) OVER w AS position_before,
           lag(ordinal) OVER w AS ordinal_before,
           lag(recorded_at) OVER w AS recorded_before,
           lag(debits, 1, 0::bigint) OVER w AS debits_before,
           lag(credits, 1, 0::bigint) OVER w AS credits_before,
           sum(CASE WHEN is_debit THEN amount ELSE 0 END) OVER w AS debits_sum,
           sum(CASE WHEN is_debit THEN 0 ELSE amount END) OVER w AS credits_sum
      FROM lines WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3
    WINDOW w AS (PARTITION BY account_id ORDER BY number
                 ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
), wrong AS MATERIALIZED (
    SELECT *, number <> number_before + 1 AS misnumbered,
           (position, ordinal) <= (position_before, ordinal_before)
               OR recorded_at < recorded_before AS misplaced,
           (debits <> debits_sum AND debits::numeric - debits_before <> debit)
               OR (credits <> credits_sum AND credits::numeric - credits_before <> credit)
               AS miscounted
      FROM steps
     WHERE number <> number_before + 1
        OR (position, ordinal) <= (position_before, ordinal_before)
        OR recorded_at < recorded_before
        OR (debits <> debits_sum AND debits::numeric - debits_before <> debit)
        OR (credits <> credits_sum AND credits::numeric - credits_before <> credit)
)
SELECT 'line_numbers' AS "check", account_id AS id, number, position,
       format('line %s', number_before + 1) AS expected, format('line %s', number) AS found
  FROM wrong WHERE misnumbered
 UNION ALL
SELECT 'line_order', account_id, number, position,
       format('after position %s, line %s, recorded at %s', position_before, ordinal_before,
              recorded_before),
       format('position %s, line %s, recorded at %s', position, ordinal, recorded_at)
  FROM wrong WHERE misplaced
 UNION ALL
SELECT 'running_totals', account_id, number, position,
       format('debits %s, credits %s', debits_sum, credits_sum),
       format('debits %s, credits %s', debits, credits)
  FROM wrong WHERE miscounted;

-- check: balance_sums over ledger names balance
-- An account's totals and its number of lines are those of its lines (I2).
SELECT b.account_id AS id, NULL::bigint AS number, NULL::bigint AS position,
       format('debits %s, credits %s, %s lines', coalesce(l.debits, 0), coalesce(l.credits, 0),
              coalesce(l.lines, 0)) AS expected,
       format('debits %s, credits %s, %s lines', b.debits, b.credits, b.line_count) AS found
  FROM balances b
  LEFT JOIN (SELECT account_id, count(*) AS lines,
                    coalesce(sum(amount) FILTER (WHERE is_debit), 0) AS debits,
                    coalesce(sum(amount) FILTER (WHERE NOT is_debit), 0) AS credits
               FROM lines WHERE ledger_id = $1 GROUP BY account_id) AS l
         ON l.account_id = b.account_id
 WHERE b.ledger_id = $1
   AND (b.debits, b.credits, b.line_count)
       <> (coalesce(l.debits, 0), coalesce(l.credits, 0), coalesce(l.lines, 0));

-- check: floors over accounts names balance
-- What is posted (proven by balance_sums), less what is reserved, is not below the floor (I3).
SELECT b.account_id AS id, NULL::bigint AS number, NULL::bigint AS position,
       format('%s or more', b.floor) AS expected, f.free::text AS found
  FROM balances b
  JOIN accounts a ON a.ledger_id = $1 AND a.account_id = b.account_id
 CROSS JOIN LATERAL (
    SELECT CASE WHEN a.type IN ('asset', 'expense') THEN b.debits::numeric - b.credits
                ELSE b.credits::numeric - b.debits END - b.reserved AS free) AS f
 WHERE b.ledger_id = $1 AND b.account_id BETWEEN $2 AND $3 AND f.free < b.floor;

-- check: account_balance over accounts names account
-- Each account has one balance and each balance an account, growing on the side of its type.
SELECT coalesce(a.account_id, b.account_id) AS id, NULL::bigint AS number, a.position,
       CASE WHEN a.account_id IS NULL THEN 'an account' WHEN b.account_id IS NULL THEN 'a balance'
            ELSE format('%s, sign %s', a.type, a.sign) END AS expected,
       CASE WHEN a.sign IS NULL OR b.sign IS NULL THEN 'none' ELSE format('sign %s', b.sign)
       END AS found
  FROM (SELECT account_id, position, type,
               CASE WHEN type IN ('asset', 'expense') THEN 1 ELSE -1 END AS sign
          FROM accounts WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3) AS a
  FULL JOIN (SELECT account_id, sign
               FROM balances WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3) AS b
         ON b.account_id = a.account_id
 WHERE a.sign IS DISTINCT FROM b.sign;

-- check: closed_accounts over accounts names balance
-- A closed account is empty.
SELECT account_id AS id, NULL::bigint AS number, NULL::bigint AS position,
       'empty, since it is closed' AS expected,
       format('debits %s, credits %s, reserved %s', debits, credits, reserved) AS found
  FROM balances
 WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3
   AND status = 'closed' AND (debits <> credits OR reserved <> 0);

-- check: revision_numbers over accounts names revision
-- An account's revisions are numbered 1, 2, 3 and so on, in the order of positions.
SELECT account_id AS id, revision AS number, position,
       format('revision %s after position %s', before + 1, last_position) AS expected,
       format('revision %s at position %s', revision, position) AS found
  FROM (SELECT account_id, revision, position,
               lag(revision, 1, 0) OVER w AS before, lag(position, 1, 0::bigint) OVER w AS last_position
          FROM account_revisions WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3
        WINDOW w AS (PARTITION BY account_id ORDER BY revision)) AS steps
 WHERE revision <> before + 1 OR position <= last_position;

-- check: revision_current over accounts names account
-- An account is as its last revision says, was opened by its first, and changed last by its last.
SELECT a.account_id AS id, a.revision::bigint AS number, a.position,
       coalesce(r.last::text, 'its last revision') AS expected,
       jsonb_build_array(a.revision, a.name, a.metadata, b.status, b.floor, b.ceiling,
                         a.position, a.created_at, a.updated_at)::text AS found
  FROM accounts a
  LEFT JOIN balances b ON b.ledger_id = $1 AND b.account_id = a.account_id
  LEFT JOIN (SELECT DISTINCT ON (account_id) account_id,
                    jsonb_build_array(revision, name, metadata, status, floor, ceiling,
                                      first_value(position) OVER w,
                                      first_value(recorded_at) OVER w, recorded_at) AS last
               FROM account_revisions WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3
             WINDOW w AS (PARTITION BY account_id ORDER BY revision)
              ORDER BY account_id, revision DESC) AS r ON r.account_id = a.account_id
 WHERE a.ledger_id = $1 AND a.account_id BETWEEN $2 AND $3
   AND r.last IS DISTINCT FROM
       jsonb_build_array(a.revision, a.name, a.metadata, b.status, b.floor, b.ceiling,
                         a.position, a.created_at, a.updated_at);

-- check: revision_events over accounts names revision
-- Each revision belongs to an account, and at its position an event tells of it.
SELECT r.account_id AS id, r.revision::bigint AS number, r.position,
       CASE WHEN a.account_id IS NULL THEN 'an account'
            ELSE format('an event of this account, recorded at %s', r.recorded_at)
       END AS expected,
       CASE WHEN a.account_id IS NULL OR e.position IS NULL THEN 'none'
            ELSE format('%s of %s, recorded at %s', e.type, e.subject, e.recorded_at)
       END AS found
  FROM account_revisions r
  LEFT JOIN accounts a ON a.ledger_id = $1 AND a.account_id = r.account_id
  LEFT JOIN events e ON e.ledger_id = $1 AND e.position = r.position
 WHERE r.ledger_id = $1 AND r.account_id BETWEEN $2 AND $3
   AND (a.account_id IS NULL
        OR (e.type, e.subject, e.recorded_at) IS DISTINCT FROM
           (CASE WHEN r.revision = 1 THEN 'account.opened' ELSE 'account.changed' END,
            r.account_id, r.recorded_at));

-- check: event_revisions over positions names event
-- Each event about an account tells of a revision.
SELECT e.event_id AS id, NULL::bigint AS number, e.position,
       format('a revision of account %s at position %s', e.subject, e.position) AS expected,
       'none' AS found
  FROM events e
 WHERE e.ledger_id = $1 AND e.position BETWEEN $2 AND $3
   AND e.type IN ('account.opened', 'account.changed')
   AND NOT EXISTS (SELECT FROM account_revisions r
                    WHERE r.ledger_id = $1 AND r.account_id = e.subject AND r.position = e.position);

-- check: corrected_entries over positions names entry
-- Reversals and refunds, and no other entries, correct an entry, and one that is there before them.
SELECT entry_id AS id, NULL::bigint AS number, position,
       CASE WHEN type IN ('reversal', 'refund') THEN 'corrects an earlier entry'
            ELSE 'corrects nothing' END AS expected,
       format('%s corrects %s', type, coalesce('position ' || corrects, 'nothing')) AS found
  FROM entries e
 WHERE ledger_id = $1 AND position BETWEEN $2 AND $3
   AND ((type IN ('reversal', 'refund')) <> (corrects IS NOT NULL)
        OR corrects >= position
        OR (corrects IS NOT NULL
            AND NOT EXISTS (SELECT FROM entries c
                             WHERE c.ledger_id = $1 AND c.position = e.corrects)));

-- check: correction_lines over positions names entry
-- A reversal has the lines of the entry that it reverses, each on the other side; a refund has its
-- shares of them.
WITH correcting AS (
    SELECT entry_id, position, corrects, type, details #> '{refund,shares}' AS shares
      FROM entries
     WHERE ledger_id = $1 AND position BETWEEN $2 AND $3
       AND type IN ('reversal', 'refund') AND corrects IS NOT NULL
), mirrored AS (
    SELECT c.position, l.account_id, l.currency, NOT l.is_debit AS is_debit,
           CASE WHEN c.type = 'reversal' THEN l.amount
                WHEN jsonb_typeof(c.shares -> (l.ordinal - 1)) = 'number'
                THEN (c.shares -> (l.ordinal - 1))::numeric END AS amount
      FROM correcting c JOIN lines l ON l.ledger_id = $1 AND l.position = c.corrects
), wanted AS (
    SELECT * FROM mirrored WHERE amount IS DISTINCT FROM 0
), given AS (
    SELECT c.position, l.account_id, l.currency, l.is_debit, l.amount::numeric
      FROM correcting c JOIN lines l ON l.ledger_id = $1 AND l.position = c.position
)
SELECT c.entry_id AS id, NULL::bigint AS number, c.position,
       format('%s of the lines at position %s, mirrored',
              CASE WHEN c.type = 'reversal' THEN 'all'
                   ELSE format('shares %s', coalesce(c.shares::text, 'in the details')) END,
              c.corrects) AS expected,
       format('%s lines differ', d.lines) AS found
  FROM (SELECT position, count(*) AS lines
          FROM ((TABLE wanted EXCEPT ALL TABLE given)
                 UNION ALL
                (TABLE given EXCEPT ALL TABLE wanted)) AS different
         GROUP BY position) AS d
  JOIN correcting c USING (position);

-- check: corrections over ledger names correction
-- What undoes an entry: at most one reversal in force, and the refunds in force.
-- A reversal turns every entry on its way down: the one that it reverses loses force, the one that
-- this had reversed regains it, and so on. So an entry is in force while an even number of reversals
-- stands on it: true as long as no entry has two in force, and where one has, it is named. A
-- correction goes to an earlier entry, so the way down ends.
WITH RECURSIVE correcting AS MATERIALIZED (
    SELECT position, type, corrects,
           CASE WHEN jsonb_typeof(details #> '{refund,shares}') = 'array'
                THEN details #> '{refund,shares}' ELSE '[]' END AS shares
      FROM entries WHERE ledger_id = $1 AND corrects IS NOT NULL AND corrects < position
), standing_on (entry) AS (
    SELECT corrects FROM correcting WHERE type = 'reversal'
     UNION ALL
    SELECT c.corrects FROM standing_on s JOIN correcting c ON c.position = s.entry
     WHERE c.type = 'reversal'
), out_of_force AS (
    SELECT entry FROM standing_on GROUP BY entry HAVING count(*) % 2 = 1
), in_force AS (
    SELECT position, type, corrects, shares FROM correcting
     WHERE NOT EXISTS (SELECT FROM out_of_force o WHERE o.entry = correcting.position)
), reversed AS (
    SELECT corrects AS position, count(*) AS reversals,
           string_agg(position::text, ' and ' ORDER BY position) AS reversal
      FROM in_force WHERE type = 'reversal' GROUP BY corrects
), refunded AS (
    SELECT f.corrects AS position, sum(l.amount) AS refunded
      FROM in_force f JOIN lines l ON l.ledger_id = $1 AND l.position = f.position AND l.is_debit
     WHERE f.type = 'refund' GROUP BY f.corrects
), shared AS (
    SELECT position, jsonb_agg(share ORDER BY ordinal) AS shares
      FROM (SELECT f.corrects AS position, s.ordinal,
                   sum(CASE WHEN jsonb_typeof(s.share) = 'number' THEN s.share::numeric END) AS share
              FROM in_force f
             CROSS JOIN LATERAL jsonb_array_elements(f.shares) WITH ORDINALITY AS s (share, ordinal)
             WHERE f.type = 'refund' GROUP BY f.corrects, s.ordinal) AS each_line
     GROUP BY position
), undone AS (
    SELECT position AS undone_at, r.reversals, r.reversal, f.refunded, s.shares
      FROM reversed r FULL JOIN refunded f USING (position) FULL JOIN shared s USING (position)
), stored AS (
    SELECT position AS undone_at, reversal, refunded, shares FROM corrections WHERE ledger_id = $1
)
SELECT (SELECT entry_id FROM entries WHERE ledger_id = $1 AND position = undone_at) AS id,
       NULL::bigint AS number, undone_at AS position,
       CASE WHEN u.reversals > 1 THEN 'one reversal in force'
            ELSE format('reversal %s, refunded %s, of each line %s', coalesce(u.reversal, 'none'),
                        coalesce(u.refunded, 0), coalesce(u.shares::text, 'nothing'))
       END AS expected,
       CASE WHEN u.reversals > 1 THEN u.reversal
            WHEN k.refunded IS NULL THEN 'no row'
            ELSE format('reversal %s, refunded %s, of each line %s',
                        coalesce(k.reversal::text, 'none'), k.refunded,
                        coalesce(k.shares::text, 'nothing'))
       END AS found
  FROM undone u FULL JOIN stored k USING (undone_at)
 WHERE u.reversals > 1
    OR u.reversal IS DISTINCT FROM k.reversal::text
    OR coalesce(u.refunded, 0) IS DISTINCT FROM k.refunded
    OR u.shares IS DISTINCT FROM k.shares;

-- check: refunds over ledger names correction
-- Refunds never give more of a line back than it moved, and never stand beside a reversal.
SELECT (SELECT entry_id FROM entries WHERE ledger_id = $1 AND position = k.position) AS id,
       NULL::bigint AS number, k.position,
       CASE WHEN k.reversal IS NOT NULL THEN 'a reversal or refunds'
            ELSE format('%s of each line at most', l.amounts) END AS expected,
       CASE WHEN k.reversal IS NOT NULL THEN 'both' ELSE k.shares::text END AS found
  FROM (SELECT position, reversal, shares FROM corrections
         WHERE ledger_id = $1 AND refunded > 0) AS k
 CROSS JOIN LATERAL (
    SELECT jsonb_agg(amount ORDER BY ordinal) AS amounts,
           bool_or(amount < CASE WHEN jsonb_typeof(k.shares -> (ordinal - 1)) = 'number'
                                 THEN (k.shares -> (ordinal - 1))::numeric END) AS exceeded
      FROM lines WHERE ledger_id = $1 AND position = k.position) AS l
 WHERE k.reversal IS NOT NULL OR l.exceeded;

-- check: keys over ledger names key
-- An idempotency key answers with positions that are taken, or with refusals.
WITH exceptions AS (
    SELECT k.key, k.first, x.key AS operation, x.value AS exception
      FROM idempotency k CROSS JOIN LATERAL jsonb_each(k.exceptions) AS x
     WHERE k.ledger_id = $1 AND jsonb_typeof(k.exceptions) = 'object'
), answers AS (
    SELECT key, first AS position, 'the first operation' AS operation
      FROM idempotency WHERE ledger_id = $1 AND first IS NOT NULL
     UNION ALL
    SELECT key,
           CASE WHEN jsonb_typeof(exception -> 'position') = 'number'
                THEN (exception -> 'position')::bigint
                WHEN jsonb_typeof(exception -> 'offset') = 'number'
                THEN first + (exception -> 'offset')::bigint END,
           'operation ' || operation
      FROM exceptions WHERE NOT exception ? 'refusal'
)
SELECT a.key AS id, NULL::bigint AS number, a.position,
       'a position that is taken' AS expected,
       format('%s at %s', a.operation, coalesce(a.position::text, 'none')) AS found
  FROM answers a
 WHERE NOT EXISTS (SELECT FROM entries e WHERE e.ledger_id = $1 AND e.position = a.position)
   AND NOT EXISTS (SELECT FROM events v WHERE v.ledger_id = $1 AND v.position = a.position)
 UNION ALL
SELECT key, NULL, NULL, 'a position, or exceptions by operation',
       coalesce(jsonb_typeof(exceptions), 'none')
  FROM idempotency
 WHERE ledger_id = $1
   AND coalesce(jsonb_typeof(exceptions), 'none')
       NOT IN ('object', CASE WHEN first IS NULL THEN 'object' ELSE 'none' END);
