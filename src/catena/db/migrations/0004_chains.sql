-- Chains and liens.
--
-- A chain is its history: events of its ledger whose subject it is, one for each of its commits, each
-- with the transitions of that commit (`data.events`, numbered from `data.first`). Everything else
-- here is found from that history, for those who search, wait or count: `chains` is its index card,
-- `liens` is what its accounts are asked about, `work` is what somebody must do next, and when.
-- `catena verify` folds every history anew and compares.

CREATE DOMAIN chain_state AS text
    CHECK (VALUE IN ('created', 'validated', 'executing', 'held', 'completed', 'failed',
                     'rolling_back', 'rolled_back'));
CREATE DOMAIN lien_kind AS text CHECK (VALUE IN ('reserve', 'proceeds'));
CREATE DOMAIN lien_state AS text
    CHECK (VALUE IN ('created', 'active', 'utilized', 'released', 'expired'));

-- An entry that a chain posted, and one that undoes it: each once at most. References within a chain
-- are only searched for.
ALTER TABLE entries
    ADD COLUMN chain_id uuid,
    ADD COLUMN step     text,
    ADD COLUMN is_undo  boolean,
    ADD CONSTRAINT chain_with_step
        CHECK ((chain_id IS NULL) = (step IS NULL) AND (chain_id IS NULL) = (is_undo IS NULL)),
    DROP CONSTRAINT content_with_reference,
    ADD CONSTRAINT content_with_reference
        CHECK (chain_id IS NOT NULL OR (reference IS NULL) = (content IS NULL));
CREATE UNIQUE INDEX entries_by_chain ON entries (ledger_id, chain_id, step, is_undo)
    WHERE chain_id IS NOT NULL;
DROP INDEX entries_by_reference;
CREATE UNIQUE INDEX entries_by_reference ON entries (ledger_id, type, reference)
    WHERE reference IS NOT NULL AND chain_id IS NULL;

CREATE INDEX events_by_chain ON events (ledger_id, subject, position)
    WHERE starts_with(type, 'chain.');

CREATE TABLE chains (
    ledger_id  integer NOT NULL,
    chain_id   uuid NOT NULL,
    events     integer NOT NULL CHECK (events > 0),  -- the number of its last event: its version
    state      chain_state NOT NULL,
    type       text NOT NULL,
    reference  text,
    parked     boolean NOT NULL,                     -- a step waits for an operator
    steps      smallint NOT NULL,
    done       smallint NOT NULL,
    position   bigint NOT NULL,                      -- of its last event
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, chain_id)
) WITH (fillfactor = 80);
CREATE INDEX chains_alive ON chains (ledger_id, state, chain_id)
    WHERE state NOT IN ('completed', 'rolled_back');
CREATE INDEX chains_parked ON chains (ledger_id, chain_id) WHERE parked;
CREATE INDEX chains_by_reference ON chains (ledger_id, reference, chain_id)
    WHERE reference IS NOT NULL;

-- The accounts that a chain names. While it runs, none of them can be closed.
CREATE TABLE chain_accounts (
    ledger_id  integer NOT NULL,
    account_id uuid NOT NULL,
    chain_id   uuid NOT NULL,
    PRIMARY KEY (ledger_id, account_id, chain_id)
);

CREATE TABLE liens (
    ledger_id  integer NOT NULL,
    lien_id    uuid NOT NULL,
    chain_id   uuid NOT NULL,
    step       text NOT NULL,
    account_id uuid NOT NULL,
    kind       lien_kind NOT NULL,
    state      lien_state NOT NULL,
    amount     bigint NOT NULL CHECK (amount > 0),
    remaining  bigint NOT NULL CHECK (remaining >= 0),
    drawn      bigint NOT NULL CHECK (drawn >= 0),
    released   bigint NOT NULL CHECK (released >= 0),
    taken_back bigint NOT NULL CHECK (taken_back >= 0),
    expires_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, lien_id),
    CONSTRAINT nothing_is_lost
        CHECK (state = 'created' OR amount = remaining + drawn + released + taken_back),
    CONSTRAINT only_open_ones_remain
        CHECK (remaining = 0 OR state = 'active')
) WITH (fillfactor = 80);
CREATE INDEX liens_by_chain ON liens (ledger_id, chain_id);
CREATE INDEX liens_open ON liens (ledger_id, account_id, lien_id)
    WHERE state IN ('active', 'utilized');

-- What is due: a call of a step, or ('') what the chain's clock decides. Whoever takes it has it until
-- `due_at`, which is then the end of the lease, under a fence that only grows. 'infinity': nothing
-- is due now. Rows go when their chain ends. `adapter`: what a worker must have to do it, '' for
-- nothing: who has it not leaves it to others.
CREATE TABLE work (
    ledger_id  integer NOT NULL,
    chain_id   uuid NOT NULL,
    step       text NOT NULL,
    due_at     timestamptz NOT NULL,
    fence      bigint NOT NULL,
    leased     boolean NOT NULL,
    adapter    text NOT NULL DEFAULT '',
    PRIMARY KEY (ledger_id, chain_id, step)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
CREATE INDEX work_by_due ON work (ledger_id, due_at);

-- Messages from outside, each once; a wait is found by its correlation. A message that comes before
-- anybody waits for it stays here without a chain.
CREATE TABLE inbox (
    ledger_id   integer NOT NULL,
    source      text NOT NULL,
    id          text NOT NULL,
    correlation text NOT NULL,
    payload     jsonb,
    chain_id    uuid,                    -- who was given it
    received_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, source, id)
);
CREATE INDEX inbox_unmatched ON inbox (ledger_id, correlation, received_at) WHERE chain_id IS NULL;
CREATE INDEX inbox_unmatched_by_time ON inbox (ledger_id, received_at, source, id)
    WHERE chain_id IS NULL;

CREATE TABLE correlations (
    ledger_id   integer NOT NULL,
    correlation text NOT NULL,
    chain_id    uuid NOT NULL,
    PRIMARY KEY (ledger_id, correlation, chain_id)
);
CREATE INDEX correlations_by_chain ON correlations (ledger_id, chain_id);

-- Take up to so many of a ledger's due rows, with a lease. Not money: another commit (journal_write)
-- checks the fence before anything comes of it.
CREATE FUNCTION work_claim(
    p_ledger integer, p_count integer, p_lease interval, p_adapters text[]
)
RETURNS TABLE (chain_id uuid, step text, fence bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = catena, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    now timestamptz := clock_timestamp();
    chains uuid[];
    steps text[];
BEGIN
    SELECT array_agg(d.chain_id), array_agg(d.step) INTO chains, steps
      FROM (SELECT w.chain_id, w.step FROM work w
             WHERE w.ledger_id = p_ledger AND w.due_at <= now AND w.adapter = ANY (p_adapters)
             ORDER BY w.due_at LIMIT p_count FOR NO KEY UPDATE SKIP LOCKED) d;
    RETURN QUERY
    UPDATE work w SET fence = w.fence + 1, due_at = now + p_lease, leased = true
      FROM (SELECT p_ledger AS ledger_id, unnest(chains) AS chain_id, unnest(steps) AS step) u
     WHERE w.ledger_id = u.ledger_id AND w.chain_id = u.chain_id AND w.step = u.step
    RETURNING w.chain_id, w.step, w.fence;
END
$$;

-- Lock chains in the order of their ids: a commit's first locks but for keys and correlations.
CREATE FUNCTION journal_lock_chains(p_ledger integer, p_chains uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = catena, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
BEGIN
    PERFORM FROM chains c
      WHERE c.ledger_id = p_ledger AND c.chain_id = ANY (p_chains)
      ORDER BY c.chain_id FOR NO KEY UPDATE;
END
$$;

-- Before anything else is locked: the chains still stand as they were read, and so do the fences.
--
-- Here and in all that joins rows to what is stored, the ledger comes with each row and not from the
-- parameter: a plan is made once, often while a table is empty, and has to look up by the whole key.
-- Else it reads all that the ledger has, and compares that with each row.
CREATE FUNCTION journal_check_chains(p_ledger integer, p_rest jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
DECLARE
    wanted bigint;
    found bigint;
BEGIN
    SELECT count(*) INTO wanted
      FROM jsonb_to_recordset(p_rest -> 'chains') AS u ("before" integer) WHERE u."before" > 0;
    IF wanted > 0 THEN
        PERFORM FROM chains c
           JOIN (SELECT p_ledger AS ledger_id, r.*
                   FROM jsonb_to_recordset(p_rest -> 'chains')
                        AS r (chain_id uuid, "before" integer) OFFSET 0) u
             ON c.ledger_id = u.ledger_id AND c.chain_id = u.chain_id AND c.events = u."before"
          ORDER BY c.chain_id FOR NO KEY UPDATE OF c;
        GET DIAGNOSTICS found = ROW_COUNT;
        IF found <> wanted THEN
            RAISE EXCEPTION 'a chain has changed since it was read' USING ERRCODE = 'CT001';
        END IF;
    END IF;

    -- Each row is named once: set anew (`due_at`), or gone (no `due_at`); `before` is the fence that
    -- was read, NULL for a new row.
    SELECT count(*) INTO wanted
      FROM jsonb_to_recordset(p_rest -> 'work') AS u ("before" bigint) WHERE u."before" IS NOT NULL;
    IF wanted > 0 THEN
        UPDATE work w SET due_at = u.due_at, leased = u.leased, fence = u.fence
          FROM (SELECT p_ledger AS ledger_id, r.*
                  FROM jsonb_to_recordset(p_rest -> 'work')
                       AS r (chain_id uuid, step text, "before" bigint, fence bigint,
                             due_at timestamptz, leased boolean) OFFSET 0) u
         WHERE w.ledger_id = u.ledger_id AND w.chain_id = u.chain_id AND w.step = u.step
           AND w.fence = u."before" AND u.due_at IS NOT NULL;
        GET DIAGNOSTICS found = ROW_COUNT;
        wanted := wanted - found;
        DELETE FROM work w
         USING (SELECT p_ledger AS ledger_id, r.*
                  FROM jsonb_to_recordset(p_rest -> 'work')
                       AS r (chain_id uuid, step text, "before" bigint, due_at timestamptz)
                OFFSET 0) u
         WHERE w.ledger_id = u.ledger_id AND w.chain_id = u.chain_id AND w.step = u.step
           AND w.fence = u."before" AND u.due_at IS NULL;
        GET DIAGNOSTICS found = ROW_COUNT;
        IF found <> wanted THEN
            RAISE EXCEPTION 'somebody else has taken this work' USING ERRCODE = 'CT001';
        END IF;
    END IF;
END
$$;

-- What a commit leaves of its chains. Their events are written as all events are.
CREATE FUNCTION journal_write_chains(
    p_ledger integer, base bigint, at timestamptz, p_rest jsonb
) RETURNS void
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
BEGIN
    UPDATE chains c
       SET events = u.events, state = u.state, parked = u.parked, steps = u.steps, done = u.done,
           position = base + u."offset", updated_at = at
      FROM (SELECT p_ledger AS ledger_id, r.*
              FROM jsonb_to_recordset(p_rest -> 'chains')
                   AS r (chain_id uuid, "before" integer, events integer, state text,
                         parked boolean, steps smallint, done smallint, "offset" integer)
            OFFSET 0) u
     WHERE c.ledger_id = u.ledger_id AND c.chain_id = u.chain_id AND u."before" > 0
       AND u.events > u."before";

    INSERT INTO chains (ledger_id, chain_id, events, state, type, reference, parked, steps, done,
                        position, created_at, updated_at)
    SELECT p_ledger, u.chain_id, u.events, u.state, u.type, u.reference, u.parked, u.steps, u.done,
           base + u."offset", at, at
      FROM jsonb_to_recordset(p_rest -> 'chains')
           AS u (chain_id uuid, "before" integer, events integer, state text, type text,
                 reference text, parked boolean, steps smallint, done smallint, "offset" integer)
     WHERE u."before" = 0;

    INSERT INTO chain_accounts (ledger_id, account_id, chain_id)
    SELECT p_ledger, u.account_id, u.chain_id
      FROM jsonb_to_recordset(p_rest -> 'chain_accounts') AS u (account_id uuid, chain_id uuid)
        ON CONFLICT DO NOTHING;

    INSERT INTO liens (ledger_id, lien_id, chain_id, step, account_id, kind, state, amount, remaining,
                       drawn, released, taken_back, expires_at, created_at)
    SELECT p_ledger, u.lien_id, u.chain_id, u.step, u.account_id, u.kind, u.state, u.amount,
           u.remaining, u.drawn, u.released, u.taken_back,
           coalesce(at + u.expires_in * interval '1 microsecond', u.expires_at), at
      FROM jsonb_to_recordset(p_rest -> 'liens')
           AS u (lien_id uuid, chain_id uuid, step text, account_id uuid, kind text, state text,
                 amount bigint, remaining bigint, drawn bigint, released bigint, taken_back bigint,
                 expires_at timestamptz, expires_in bigint)
        ON CONFLICT (ledger_id, lien_id) DO UPDATE
       SET state = excluded.state, remaining = excluded.remaining, drawn = excluded.drawn,
           released = excluded.released, taken_back = excluded.taken_back,
           expires_at = excluded.expires_at;

    -- Behind the ledger's lock: who found nobody waiting is right only if nobody has begun since. Waits
    -- that end in this commit are none any more; those that begin in it look for what is there next.
    DELETE FROM correlations c
     USING (SELECT p_ledger AS ledger_id, r.*
              FROM jsonb_to_recordset(p_rest -> 'correlations')
                   AS r (chain_id uuid, correlation text, waits boolean) OFFSET 0) u
     WHERE c.ledger_id = u.ledger_id AND c.chain_id = u.chain_id AND c.correlation = u.correlation
       AND NOT u.waits;
    IF EXISTS (SELECT FROM jsonb_to_recordset(p_rest -> 'messages')
                      AS u (correlation text, chain_id uuid)
                CROSS JOIN LATERAL (SELECT FROM correlations c
                                     WHERE c.ledger_id = p_ledger
                                       AND c.correlation = u.correlation OFFSET 0) c
                WHERE u.chain_id IS NULL) THEN
        RAISE EXCEPTION 'a chain has begun to wait for this message' USING ERRCODE = 'CT001';
    END IF;
    INSERT INTO inbox (ledger_id, source, id, correlation, payload, chain_id, received_at)
    SELECT p_ledger, u.source, u.id, u.correlation, u.payload, u.chain_id, at
      FROM jsonb_to_recordset(p_rest -> 'messages')
           AS u (source text, id text, correlation text, payload jsonb, chain_id uuid);
    UPDATE inbox i SET chain_id = u.chain_id
      FROM (SELECT p_ledger AS ledger_id, r.*
              FROM jsonb_to_recordset(p_rest -> 'matched')
                   AS r (source text, id text, chain_id uuid) OFFSET 0) u
     WHERE i.ledger_id = u.ledger_id AND i.source = u.source AND i.id = u.id;
    INSERT INTO correlations (ledger_id, correlation, chain_id)
    SELECT p_ledger, u.correlation, u.chain_id
      FROM jsonb_to_recordset(p_rest -> 'correlations')
           AS u (chain_id uuid, correlation text, waits boolean)
     WHERE u.waits;

    INSERT INTO work (ledger_id, chain_id, step, due_at, fence, leased, adapter)
    SELECT p_ledger, u.chain_id, u.step, u.due_at, u.fence, u.leased, u.adapter
      FROM jsonb_to_recordset(p_rest -> 'work')
           AS u (chain_id uuid, step text, "before" bigint, fence bigint, due_at timestamptz,
                 leased boolean, adapter text)
     WHERE u."before" IS NULL;
END
$$;

-- The statement that writes money (0002), which takes what is under lien and what belongs to a chain.
-- `b_reserved` is NULL where nothing is reserved. `b_more_…`: what the lines of this commit add up to
-- for each account. Totals and lines reach it by different ways, and have to agree.
DROP FUNCTION journal_write;
CREATE FUNCTION journal_write(
    p_ledger integer, p_high text, p_low bigint, p_count bigint,
    b_account uuid[], b_version bigint[], b_debits bigint[], b_credits bigint[],
    b_reserved bigint[], b_lines bigint[],
    b_more_debits bigint[], b_more_credits bigint[], b_more_lines bigint[],
    e_offset integer[], e_type text[], e_effective timestamptz[], e_corrects bigint[],
    e_description text[], e_reference text[], e_content uuid[], e_metadata jsonb[], e_details jsonb[],
    e_chain uuid[], e_step text[], e_is_undo boolean[],
    l_account uuid[], l_number bigint[], l_offset integer[], l_amount bigint[], l_debits bigint[],
    l_credits bigint[], l_ordinal integer[], l_is_debit boolean[], l_currency text[], l_effective timestamptz[],
    k_key uuid[], k_payload uuid[], k_offset integer[], k_exceptions jsonb[],
    p_rest jsonb,
    OUT base bigint, OUT at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = catena, pg_temp
AS $$
DECLARE
    touched bigint;
BEGIN
    IF p_rest ?| '{chains,work}' THEN
        PERFORM journal_check_chains(p_ledger, p_rest);
    END IF;

    IF p_rest ? 'opened' THEN
        PERFORM journal_open_accounts(p_ledger, p_rest -> 'opened');
    END IF;

    -- A floor that this commit lowers holds for what it posts; one that it raises is raised last.
    IF p_rest ? 'changed' THEN
        PERFORM FROM journal_lock(p_ledger, b_account);
        UPDATE balances b SET floor = c.floor
          FROM (SELECT r.account_id, min(r.floor) AS floor
                  FROM jsonb_to_recordset(p_rest -> 'changed') AS r (account_id uuid, floor bigint)
                 GROUP BY r.account_id) c
         WHERE b.ledger_id = p_ledger AND b.account_id = ANY (b_account)
           AND b.account_id = c.account_id AND c.floor < b.floor;
    END IF;

    -- In the order given. The ledger comes with each row and not from the parameter: so that a plan
    -- made while the books were empty, too, looks every account up by its whole key.
    UPDATE balances b
       SET version = b.version + 1, debits = u.debits, credits = u.credits,
           reserved = coalesce(u.reserved, 0), line_count = u.lines
      FROM (SELECT p_ledger AS ledger_id, unnest(b_account) AS account_id,
                   unnest(b_version) AS version, unnest(b_debits) AS debits,
                   unnest(b_credits) AS credits, unnest(b_reserved) AS reserved,
                   unnest(b_lines) AS lines, unnest(b_more_debits) AS more_debits,
                   unnest(b_more_credits) AS more_credits, unnest(b_more_lines) AS more_lines) u
     WHERE b.ledger_id = u.ledger_id AND b.account_id = u.account_id AND b.version = u.version
       AND b.debits = u.debits - u.more_debits AND b.credits = u.credits - u.more_credits
       AND b.line_count = u.lines - u.more_lines;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> cardinality(b_account) THEN
        RAISE EXCEPTION 'a balance has changed since it was read' USING ERRCODE = 'CT001';
    END IF;

    -- Two statements: the clock is read under the lock, and Citus takes no clock in an UPDATE.
    SELECT p.position, p.recorded_at INTO base, at
      FROM positions p WHERE p.ledger_id = p_ledger FOR NO KEY UPDATE;
    at := greatest(at, clock_timestamp());
    IF p_count > 0 THEN
        UPDATE positions SET position = base + p_count, recorded_at = at WHERE ledger_id = p_ledger;
    END IF;

    INSERT INTO idempotency (ledger_id, key, payload, first, exceptions, created_at)
    SELECT p_ledger, u.key, u.payload, base + u.first, u.exceptions, at
      FROM (SELECT unnest(k_key) AS key, unnest(k_payload) AS payload, unnest(k_offset) AS first,
                   unnest(k_exceptions) AS exceptions) u
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> cardinality(k_key) THEN
        RAISE EXCEPTION 'an idempotency key is taken' USING ERRCODE = 'CT002';
    END IF;

    IF cardinality(e_offset) > 0 THEN
        INSERT INTO entries (ledger_id, position, entry_id, type, effective_at, recorded_at,
                             corrects, description, reference, content, metadata, details,
                             chain_id, step, is_undo)
        SELECT p_ledger, base + u.o, (p_high || to_hex(p_low + base + u.o))::uuid, u.type,
               coalesce(u.effective, at), at, u.corrects, u.description, u.reference, u.content,
               u.metadata, u.details, u.chain_id, u.step, u.is_undo
          FROM (SELECT unnest(e_offset) AS o, unnest(e_type) AS type,
                       unnest(e_effective) AS effective, unnest(e_corrects) AS corrects,
                       unnest(e_description) AS description, unnest(e_reference) AS reference,
                       unnest(e_content) AS content, unnest(e_metadata) AS metadata,
                       unnest(e_details) AS details, unnest(e_chain) AS chain_id,
                       unnest(e_step) AS step, unnest(e_is_undo) AS is_undo) u;

        INSERT INTO lines (ledger_id, account_id, number, position, amount, debits, credits,
                           effective_at, recorded_at, ordinal, is_debit, currency)
        SELECT p_ledger, u.account_id, u.number, base + u.o, u.amount, u.debits, u.credits,
               coalesce(u.effective, at), at, u.ordinal, u.is_debit, u.currency
          FROM (SELECT unnest(l_account) AS account_id, unnest(l_number) AS number,
                       unnest(l_offset) AS o, unnest(l_amount) AS amount,
                       unnest(l_debits) AS debits, unnest(l_credits) AS credits,
                       unnest(l_ordinal) AS ordinal, unnest(l_is_debit) AS is_debit,
                       unnest(l_currency) AS currency, unnest(l_effective) AS effective) u;
    END IF;

    IF p_rest IS NOT NULL THEN
        PERFORM journal_write_rest(p_ledger, p_high, p_low, base, at, p_rest);
        IF p_rest ?| '{chains,work,messages}' THEN
            PERFORM journal_write_chains(p_ledger, base, at, p_rest);
        END IF;
    END IF;
END
$$;

GRANT SELECT ON chains, chain_accounts, correlations, inbox, liens, work TO catena_service;
REVOKE ALL ON FUNCTION journal_write, journal_lock_chains, journal_check_chains, journal_write_chains,
    work_claim FROM public;
GRANT EXECUTE ON FUNCTION journal_write, journal_lock_chains, work_claim TO catena_service;
