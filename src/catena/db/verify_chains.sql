-- The checks of chains and liens that compare rows with rows, in the format of `verify.sql`; `chains`
-- come in ranges of their ids, $2 to $3 with both ends. What a chain's history says of its rows is
-- compared in `verify_chains.py`.

-- check: reserved over accounts names balance
-- What is reserved is what remains of the account's open liens (I2).
SELECT b.account_id AS id, NULL::bigint AS number, NULL::bigint AS position,
       coalesce(l.remaining, 0)::text AS expected, b.reserved::text AS found
  FROM balances b
  LEFT JOIN (SELECT account_id, sum(remaining) AS remaining FROM liens
              WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3
                AND state IN ('active', 'utilized')
              GROUP BY account_id) AS l
         ON l.account_id = b.account_id
 WHERE b.ledger_id = $1 AND b.account_id BETWEEN $2 AND $3
   AND b.reserved <> coalesce(l.remaining, 0);

-- check: reserves over accounts names balance
-- The last that is told of what was reserved is what is reserved; each commit tells of a change.
SELECT b.account_id AS id, NULL::bigint AS number, r.position,
       b.reserved::text AS expected,
       CASE WHEN r.same THEN 'the same twice' ELSE coalesce(r.reserved::text, 'nothing') END AS found
  FROM balances b
  LEFT JOIN (SELECT account_id, position, reserved,
                    reserved = lag(reserved, 1, 0::bigint) OVER w AS same,
                    position = last_value(position) OVER w AS last
               FROM reserves WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3
             WINDOW w AS (PARTITION BY account_id ORDER BY recorded_at, position
                          RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) AS r
         ON r.account_id = b.account_id AND (r.last OR r.same)
 WHERE b.ledger_id = $1 AND b.account_id BETWEEN $2 AND $3
   AND (r.same OR b.reserved <> coalesce(r.reserved, 0));

-- check: lien_accounts over accounts names lien
-- An open lien is on an account with a floor.
SELECT l.lien_id AS id, NULL::bigint AS number, NULL::bigint AS position,
       'an account with a floor' AS expected,
       CASE WHEN b.account_id IS NULL THEN 'none' ELSE 'one without' END AS found
  FROM (SELECT lien_id, account_id FROM liens
         WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3
           AND state IN ('active', 'utilized')) AS l
  LEFT JOIN (SELECT account_id, floor FROM balances
              WHERE ledger_id = $1 AND account_id BETWEEN $2 AND $3) AS b
         ON b.account_id = l.account_id
 WHERE b.floor IS NULL;

-- check: running_accounts over ledger names account
-- No account is closed that a running chain names, or has posted to: it may have to give back.
SELECT b.account_id AS id, NULL::bigint AS number, NULL::bigint AS position,
       'not closed' AS expected,
       format('closed, while chain %s is %s', min(c.chain_id::text), min(c.state::text)) AS found
  FROM (SELECT chain_id, state FROM chains
         WHERE ledger_id = $1 AND state NOT IN ('completed', 'rolled_back')) AS c
  JOIN (SELECT chain_id, account_id FROM chain_accounts WHERE ledger_id = $1
         UNION ALL
        SELECT e.chain_id, l.account_id
          FROM entries e JOIN lines l ON l.ledger_id = $1 AND l.position = e.position
         WHERE e.ledger_id = $1 AND e.chain_id IS NOT NULL) AS used
    ON used.chain_id = c.chain_id
  JOIN (SELECT account_id FROM balances WHERE ledger_id = $1 AND status = 'closed') AS b
    ON b.account_id = used.account_id
 GROUP BY b.account_id;

-- check: notices over chains names chain
-- What a gateway has said was told to a chain that is there, and began one that is.
SELECT n.id, NULL::bigint AS number, NULL::bigint AS position,
       'a chain' AS expected, format('none, for %s of %s', n.notice, n.gateway) AS found
  FROM (SELECT gateway, id AS notice, unnest(ARRAY[chain_id, began]) AS id
          FROM notices WHERE ledger_id = $1 AND chain_id IS NOT NULL) AS n
  LEFT JOIN chains c ON c.ledger_id = $1 AND c.chain_id = n.id
 WHERE n.id BETWEEN $2 AND $3 AND c.chain_id IS NULL;

-- check: lien_amounts over chains names lien
-- A lien's amount is what remains, was drawn, was released and was taken back, as its state and kind
-- let it be (I8).
SELECT lien_id AS id, NULL::bigint AS number, NULL::bigint AS position,
       format('a lien of %s that is %s', amount, state) AS expected,
       format('%s: remaining %s, drawn %s, released %s, taken back %s, expires at %s', kind,
              remaining, drawn, released, taken_back, coalesce(expires_at::text, 'none')) AS found
  FROM liens
 WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3
   AND NOT (amount > 0
            AND least(remaining, drawn, released, taken_back) >= 0
            AND CASE kind WHEN 'reserve' THEN taken_back = 0
                          ELSE state NOT IN ('created', 'expired') AND expires_at IS NULL END
            AND CASE state
                WHEN 'created' THEN greatest(remaining, drawn, released, taken_back) = 0
                ELSE amount = remaining::numeric + drawn + released + taken_back
                     AND (remaining > 0) = (state = 'active')
                     AND (state NOT IN ('active', 'utilized') OR released + taken_back = 0) END);

-- check: lien_ends over chains names lien
-- A chain that has ended has no lien that is open or declared (I8).
SELECT l.lien_id AS id, NULL::bigint AS number, c.position,
       format('ended, as its chain is %s', c.state) AS expected, l.state::text AS found
  FROM liens l JOIN chains c ON c.ledger_id = $1 AND c.chain_id = l.chain_id
 WHERE l.ledger_id = $1 AND l.chain_id BETWEEN $2 AND $3
   AND c.chain_id BETWEEN $2 AND $3
   AND c.state IN ('completed', 'rolled_back') AND l.state IN ('created', 'active', 'utilized');

-- check: work_chains over chains names work
-- Work is noted for a chain that has not ended.
SELECT w.chain_id AS id, NULL::bigint AS number, c.position,
       'a chain that has not ended' AS expected,
       format('%s, and work of %s', coalesce(c.state, 'none'),
              CASE w.step WHEN '' THEN 'its clock' ELSE 'step ' || w.step END) AS found
  FROM work w LEFT JOIN (SELECT chain_id, position, state FROM chains
                          WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3) AS c
                     ON c.chain_id = w.chain_id
 WHERE w.ledger_id = $1 AND w.chain_id BETWEEN $2 AND $3
   AND (c.chain_id IS NULL OR c.state IN ('completed', 'rolled_back'));

-- check: posted_once over chains names entry
-- A step of a chain has one entry at most, and one that undoes it (I7).
SELECT entry_id AS id, NULL::bigint AS number, position,
       format('one entry that %s step %s', CASE WHEN is_undo THEN 'undoes' ELSE 'is of' END,
              step) AS expected,
       format('another at position %s', before) AS found
  FROM (SELECT entry_id, position, step, is_undo,
               lag(position) OVER (PARTITION BY chain_id, step, is_undo ORDER BY position) AS before
          FROM entries WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3) AS posted
 WHERE before IS NOT NULL;

-- check: undo_entries over chains names entry
-- What undoes a step is the reversal of its entry, in a chain that rolls back (I6, I13).
SELECT u.entry_id AS id, NULL::bigint AS number, u.position,
       format('reverses %s, in a chain that rolls back',
              coalesce('position ' || f.position, 'an entry of step ' || u.step)) AS expected,
       format('%s of %s, in a chain that is %s', u.type,
              coalesce('position ' || u.corrects, 'nothing'), coalesce(c.state, 'not there')) AS found
  FROM entries u
  LEFT JOIN (SELECT chain_id, step, min(position) AS position FROM entries
              WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3 AND NOT is_undo
              GROUP BY chain_id, step) AS f
         ON f.chain_id = u.chain_id AND f.step = u.step
  LEFT JOIN (SELECT chain_id, state FROM chains
              WHERE ledger_id = $1 AND chain_id BETWEEN $2 AND $3) AS c
         ON c.chain_id = u.chain_id
 WHERE u.ledger_id = $1 AND u.chain_id BETWEEN $2 AND $3 AND u.is_undo
   AND (u.type <> 'reversal' OR u.corrects IS DISTINCT FROM f.position
        OR coalesce(c.state NOT IN ('rolling_back', 'rolled_back'), true));

-- check: owned_entries over ledger names entry
-- Until a chain has ended its entries are corrected by itself alone.
SELECT r.entry_id AS id, NULL::bigint AS number, r.position,
       format('the entry at position %s is left to its chain %s', e.position, e.chain_id) AS expected,
       format('%s of %s', r.type, coalesce('chain ' || r.chain_id, 'no chain')) AS found
  FROM entries e
  JOIN entries r ON r.ledger_id = $1 AND r.corrects = e.position
  LEFT JOIN (SELECT chain_id, position FROM chains
              WHERE ledger_id = $1 AND state IN ('completed', 'rolled_back')) AS ended
         ON ended.chain_id = e.chain_id
 WHERE e.ledger_id = $1 AND e.chain_id IS NOT NULL AND r.chain_id IS DISTINCT FROM e.chain_id
   AND coalesce(r.position <= ended.position, true);

-- check: chain_net over ledger names chain
-- A chain that was rolled back has moved nothing, on any account and in any currency (I6).
SELECT c.chain_id AS id, NULL::bigint AS number, c.position,
       'every account as it was' AS expected,
       string_agg(format('%s %s more debits on account %s', n.net, n.currency, n.account_id), ', '
                  ORDER BY n.account_id, n.currency) AS found
  FROM (SELECT e.chain_id, l.account_id, l.currency,
               sum(CASE WHEN l.is_debit THEN l.amount::numeric ELSE -l.amount::numeric END) AS net
          FROM entries e JOIN lines l ON l.ledger_id = $1 AND l.position = e.position
         WHERE e.ledger_id = $1 AND e.chain_id IS NOT NULL
           AND e.chain_id IN (SELECT chain_id FROM chains
                               WHERE ledger_id = $1 AND state = 'rolled_back')
         GROUP BY e.chain_id, l.account_id, l.currency) AS n
  JOIN chains c ON c.ledger_id = $1 AND c.chain_id = n.chain_id
 WHERE n.net <> 0
 GROUP BY c.chain_id, c.position;

-- check: inbox over ledger names message
-- Each message in the inbox was taken in by one event, which says what it is about and who was given
-- it at once, and nothing else was taken in (I11).
SELECT NULL::uuid AS id, NULL::bigint AS number, e.position,
       CASE WHEN i.id IS NULL THEN 'none in the inbox'
            ELSE format('message %s of %s, about %s, received at %s', i.id, i.source, i.correlation,
                        i.received_at) END AS expected,
       CASE WHEN e.id IS NULL THEN 'no event'
            ELSE format('the %s event of message %s of %s, about %s, at %s, given to %s',
                        CASE e.rank WHEN 1 THEN 'first' ELSE 'second' END, e.id, e.source,
                        e.correlation, e.recorded_at, coalesce(e.chain, 'nobody')) END AS found
  FROM (SELECT source, id, correlation, chain_id, received_at FROM inbox WHERE ledger_id = $1) AS i
  FULL JOIN (SELECT data ->> 'source' AS source, data ->> 'id' AS id,
                    data ->> 'correlation' AS correlation, data ->> 'chain' AS chain,
                    position, recorded_at,
                    row_number() OVER (PARTITION BY data ->> 'source', data ->> 'id'
                                       ORDER BY position) AS rank
               FROM events
              WHERE ledger_id = $1 AND type = 'message.received'
                AND NOT (data ->> 'again')::boolean) AS e
         ON e.source = i.source AND e.id = i.id
 WHERE i.id IS NULL OR e.id IS NULL OR e.rank > 1
    OR i.correlation <> e.correlation OR i.received_at <> e.recorded_at
    OR e.chain <> 'cte_' || replace(coalesce(i.chain_id::text, ''), '-', '');

-- check: unmatched over ledger names message
-- A message that nobody was given is one that nobody waits for, but for a chain whose clock is due:
-- it has begun to wait, and looks for what is there (I11).
SELECT NULL::uuid AS id, NULL::bigint AS number, NULL::bigint AS position,
       format('given to chain %s', c.chain_id) AS expected,
       format('message %s of %s, about %s, given to nobody', i.id, i.source, i.correlation) AS found
  FROM inbox i
  JOIN correlations c ON c.ledger_id = $1 AND c.correlation = i.correlation
 WHERE i.ledger_id = $1 AND i.chain_id IS NULL
   AND NOT EXISTS (SELECT FROM work w
                    WHERE w.ledger_id = $1 AND w.chain_id = c.chain_id AND w.step = ''
                      AND w.due_at <= clock_timestamp() + interval '5 minutes');

-- check: proceeds over ledger names lien
-- A lien of proceeds is what its step's entry has brought to its account (I4).
SELECT p.lien_id AS id, NULL::bigint AS number, e.position,
       format('%s brought by step %s', coalesce(n.net, 0), p.step) AS expected,
       p.amount::text AS found
  FROM (SELECT lien_id, chain_id, account_id, step, amount FROM liens
         WHERE ledger_id = $1 AND kind = 'proceeds') AS p
  LEFT JOIN (SELECT chain_id, step, position FROM entries
              WHERE ledger_id = $1 AND chain_id IS NOT NULL AND NOT is_undo) AS e
         ON e.chain_id = p.chain_id AND e.step = p.step
  LEFT JOIN (SELECT l.position, l.account_id,
                    sum(CASE WHEN (b.sign = 1) = l.is_debit THEN l.amount::numeric
                             ELSE -l.amount::numeric END) AS net
               FROM lines l
               JOIN balances b ON b.ledger_id = $1 AND b.account_id = l.account_id
              WHERE l.ledger_id = $1
                AND l.position IN (SELECT position FROM entries
                                    WHERE ledger_id = $1 AND chain_id IS NOT NULL AND NOT is_undo)
              GROUP BY l.position, l.account_id) AS n
         ON n.position = e.position AND n.account_id = p.account_id
 WHERE p.amount IS DISTINCT FROM n.net;
