-- The only statement that writes money. Python has decided; this checks that what it read still
-- stands, numbers what it decided, and writes it set-wise. All or nothing: it raises, or it is done.
--
-- Parameters by prefix: b_ balances, e_ entries, l_ lines, k_ idempotency keys; p_rest holds what is
-- rare as JSON (opened accounts, changes, corrections, events). A column that is NULL throughout may
-- be passed as NULL: unnest() pads it, which stands in a SELECT list here, where it gives row by row
-- what in FROM it would first store. `offset`s count from 1 within this commit.
--
-- Plans are those of the pool's sessions (src/catena/db/pool.py): look-ups by index, made once.
-- To set that here would cost each commit 30 us.
--
-- Locks: balances in the order given (sorted by the caller), then the ledger's position, last.
-- Everything after that lock is alone in its ledger, so inserting there never waits for anyone.
--
-- CT001  a row is no longer as it was read: decide again
-- CT002  an idempotency key is taken: answer it from its row, and decide the others again

CREATE FUNCTION journal_write(
    p_ledger integer, p_high text, p_low bigint, p_count bigint,
    b_account uuid[], b_version bigint[], b_debits bigint[], b_credits bigint[], b_lines bigint[],
    e_offset integer[], e_type text[], e_effective timestamptz[], e_corrects bigint[],
    e_description text[], e_reference text[], e_content uuid[], e_metadata jsonb[], e_details jsonb[],
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
       SET version = b.version + 1, debits = u.debits, credits = u.credits, line_count = u.lines
      FROM (SELECT p_ledger AS ledger_id, unnest(b_account) AS account_id,
                   unnest(b_version) AS version, unnest(b_debits) AS debits,
                   unnest(b_credits) AS credits, unnest(b_lines) AS lines) u
     WHERE b.ledger_id = u.ledger_id AND b.account_id = u.account_id AND b.version = u.version;
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
                             corrects, description, reference, content, metadata, details)
        SELECT p_ledger, base + u.o, (p_high || to_hex(p_low + base + u.o))::uuid, u.type,
               coalesce(u.effective, at), at, u.corrects, u.description, u.reference, u.content,
               u.metadata, u.details
          FROM (SELECT unnest(e_offset) AS o, unnest(e_type) AS type,
                       unnest(e_effective) AS effective, unnest(e_corrects) AS corrects,
                       unnest(e_description) AS description, unnest(e_reference) AS reference,
                       unnest(e_content) AS content, unnest(e_metadata) AS metadata,
                       unnest(e_details) AS details) u;

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
    END IF;
END
$$;

-- Lock accounts in the order of their ids, and give them as they stand under the lock. A function,
-- because SELECT ... FOR UPDATE takes a right to write, which the service does not have.
CREATE FUNCTION journal_lock(p_ledger integer, p_accounts uuid[]) RETURNS SETOF balances
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = catena, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT b.* FROM balances b
     WHERE b.ledger_id = p_ledger AND b.account_id = ANY (p_accounts)
     ORDER BY b.account_id FOR NO KEY UPDATE;
END
$$;

-- Open accounts with empty balances; the lines of this commit are added to them right after.
CREATE FUNCTION journal_open_accounts(p_ledger integer, p_opened jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
DECLARE
    touched bigint;
BEGIN
    INSERT INTO balances (ledger_id, account_id, version, debits, credits, reserved, line_count,
                          floor, ceiling, sign, status)
    SELECT p_ledger, o.account_id, 1, 0, 0, 0, 0, o.floor, o.ceiling,
           CASE WHEN o.type IN ('asset', 'expense') THEN 1 ELSE -1 END, o.status
      FROM jsonb_to_recordset(p_opened)
           AS o (account_id uuid, type text, floor bigint, ceiling bigint, status text)
     ORDER BY o.account_id
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> jsonb_array_length(p_opened) THEN
        RAISE EXCEPTION 'an account is there already' USING ERRCODE = 'CT001';
    END IF;
END
$$;

-- What is rare: descriptions of opened accounts, changes to accounts, corrections, events.
CREATE FUNCTION journal_write_rest(
    p_ledger integer, p_high text, p_low bigint, base bigint, at timestamptz, p_rest jsonb
) RETURNS void
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
DECLARE
    changed record;
    undone record;
BEGIN
    INSERT INTO accounts (ledger_id, account_id, type, currency, role, user_id, name, metadata,
                          revision, position, created_at, updated_at)
    SELECT p_ledger, o.account_id, o.type, o.currency, o.role, o.user_id, o.name, o.metadata,
           1, base + o."offset", at, at
      FROM jsonb_to_recordset(p_rest -> 'opened')
           AS o (account_id uuid, type text, currency text, role text, user_id text, name text,
                 metadata jsonb, "offset" integer);

    FOR changed IN SELECT * FROM jsonb_to_recordset(p_rest -> 'changed')
             AS c (account_id uuid, revision integer, name text, metadata jsonb, status text,
                   floor bigint, ceiling bigint)
    LOOP
        UPDATE accounts a
           SET name = changed.name, metadata = changed.metadata, revision = changed.revision,
               updated_at = at
         WHERE a.ledger_id = p_ledger AND a.account_id = changed.account_id
           AND a.revision = changed.revision - 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'an account has changed since it was read' USING ERRCODE = 'CT001';
        END IF;
        UPDATE balances b
           SET status = changed.status, floor = changed.floor, ceiling = changed.ceiling
         WHERE b.ledger_id = p_ledger AND b.account_id = changed.account_id;
    END LOOP;

    INSERT INTO account_revisions (ledger_id, account_id, revision, position, recorded_at, name,
                                   metadata, status, floor, ceiling)
    SELECT p_ledger, r.account_id, r.revision, base + r."offset", at, r.name, r.metadata, r.status,
           r.floor, r.ceiling
      FROM jsonb_to_recordset(coalesce(p_rest -> 'opened', '[]') || coalesce(p_rest -> 'changed', '[]'))
           AS r (account_id uuid, revision integer, "offset" integer, name text, metadata jsonb,
                 status text, floor bigint, ceiling bigint);

    -- Version 0: not stored yet. A reversal that this commit posts is named by its offset.
    FOR undone IN SELECT * FROM jsonb_to_recordset(p_rest -> 'corrections')
             AS c (position bigint, reversal bigint, reversal_offset integer, refunded bigint,
                   shares jsonb, version bigint)
    LOOP
        IF undone.version = 0 THEN
            INSERT INTO corrections (ledger_id, position, reversal, refunded, shares, version)
            VALUES (p_ledger, undone.position, base + undone.reversal_offset, undone.refunded,
                    nullif(undone.shares, 'null'), 1)
                ON CONFLICT DO NOTHING;
        ELSE
            UPDATE corrections k
               SET reversal = coalesce(base + undone.reversal_offset, undone.reversal),
                   refunded = undone.refunded,
                   shares = nullif(undone.shares, 'null'), version = k.version + 1
             WHERE k.ledger_id = p_ledger AND k.position = undone.position AND k.version = undone.version;
        END IF;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'a correction has changed since it was read' USING ERRCODE = 'CT001';
        END IF;
    END LOOP;

    INSERT INTO events (ledger_id, position, event_id, type, subject, recorded_at, data)
    SELECT p_ledger, base + e."offset", (p_high || to_hex(p_low + base + e."offset"))::uuid,
           e.type, e.subject, at, e.data
      FROM jsonb_to_recordset(p_rest -> 'events')
           AS e ("offset" integer, type text, subject uuid, data jsonb);
END
$$;

-- The service reads everything and writes money by this road alone. The role may exist already
-- (the embedded server gives it a login); it is shared by all databases of a server.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'catena_service') THEN
        CREATE ROLE catena_service NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- another database's migration made it at the same moment
END
$$;
GRANT USAGE ON SCHEMA catena TO catena_service;
GRANT SELECT ON ALL TABLES IN SCHEMA catena TO catena_service;
GRANT INSERT ON ledgers, positions, installation TO catena_service;
GRANT INSERT, UPDATE ON api_keys TO catena_service;
GRANT UPDATE (assets) ON ledgers TO catena_service;
GRANT DELETE ON idempotency TO catena_service;
REVOKE ALL ON FUNCTION journal_write, journal_lock, journal_open_accounts, journal_write_rest
    FROM public;
GRANT EXECUTE ON FUNCTION journal_write, journal_lock TO catena_service;
