-- Reconciliation: what gateways and banks say of the accounts that they keep for us, held against
-- our clearing accounts.
--
-- Statements come in numbered by gateway, and so do runs: both numbers are gapless, and given in the
-- order of commits, since who inserts the same number waits for the other and then fails. A run has
-- read every import and every one of our lines up to the numbers that it names. All of it is only
-- ever added to, but the cards of items, which are found from their changes and their last finding.

CREATE DOMAIN item_state AS text
    CHECK (VALUE IN ('open', 'resolved', 'accepted', 'reopened', 'cleared'));

-- A file or a gateway's answer. The same one again (`digest`) is the first one.
CREATE TABLE statement_imports (
    ledger_id    integer NOT NULL,
    gateway      text NOT NULL,
    number       integer NOT NULL CHECK (number > 0),
    import_id    uuid NOT NULL,
    digest       bytea NOT NULL,
    covers_from  timestamptz NOT NULL,
    covers_until timestamptz NOT NULL,  -- just before this moment it is complete
    lines        integer NOT NULL,      -- that were new
    repeated     integer NOT NULL,      -- that were there before, just the same
    balances     jsonb NOT NULL,        -- currency -> what it says was there at its end
    who          text NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, gateway, number),
    CONSTRAINT covers_some_time CHECK (covers_from <= covers_until)
);
CREATE UNIQUE INDEX statement_imports_once ON statement_imports (ledger_id, gateway, digest);
CREATE INDEX statement_imports_by_time ON statement_imports (ledger_id, received_at, import_id);
CREATE INDEX statement_imports_by_end ON statement_imports (ledger_id, gateway, covers_until);

-- Minor units, positive: to us; before the fee.
CREATE TABLE statement_lines (
    ledger_id integer NOT NULL,
    gateway   text NOT NULL,
    id        text NOT NULL,
    import    integer NOT NULL,         -- the number of the import that brought it
    subject   text NOT NULL,
    amount    bigint NOT NULL,
    fee       bigint NOT NULL,
    currency  text NOT NULL,
    reference text,
    at        timestamptz NOT NULL,
    text      text NOT NULL,
    about     text,                     -- of what gives a charge back: that charge
    PRIMARY KEY (ledger_id, gateway, id)
);
CREATE INDEX statement_lines_by_import ON statement_lines (ledger_id, gateway, import);

-- Of requests that took a statement in or made a run, each done once. The id of what it made is made of
-- its key.
CREATE TABLE reconciliation_keys (
    ledger_id integer NOT NULL,
    key       uuid NOT NULL,
    payload   uuid NOT NULL,
    PRIMARY KEY (ledger_id, key)
);

-- A run. `lines_read`: currency -> the number of the clearing account's last line that it has read;
-- `imports_read` likewise. `origin`: when reconciliation of the gateway began. `fees_run`: the first one
-- since fees were booked, whose id is the reference of the next booking, whichever run it is for.
CREATE TABLE reconciliations (
    ledger_id      integer NOT NULL,
    gateway        text NOT NULL,
    number         integer NOT NULL CHECK (number > 0),
    run_id         uuid NOT NULL,
    position       bigint NOT NULL,     -- of the ledger, when our lines were read
    lines_read     jsonb NOT NULL,
    imports_read   integer NOT NULL,
    origin         timestamptz NOT NULL,
    begins         timestamptz NOT NULL,
    until          timestamptz NOT NULL,
    time_window    interval NOT NULL,
    cut_characters integer NOT NULL,
    counts         jsonb NOT NULL,
    figures        jsonb NOT NULL,      -- one of each currency
    fees_run       uuid NOT NULL,
    report         jsonb NOT NULL,
    who            text NOT NULL,
    made_at        timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, gateway, number),
    CONSTRAINT goes_forward CHECK (origin <= begins AND begins <= until)
);
CREATE UNIQUE INDEX reconciliations_by_id ON reconciliations (ledger_id, run_id);
CREATE INDEX reconciliations_by_time ON reconciliations (ledger_id, made_at, run_id);

-- What a run found: each line that it looked at stands in one of its findings. Of ours an entry's id,
-- a stroke and the line's ordinal. What waits and what is on the work list is taken up by the next;
-- `is_earlier`: from before the beginning, it is taken up as a half of later lines, never judged.
CREATE TABLE reconciliation_findings (
    ledger_id   integer NOT NULL,
    gateway     text NOT NULL,
    number      integer NOT NULL,       -- of the run
    finding     integer NOT NULL,
    kind        text NOT NULL,
    how         text NOT NULL,
    ours        text[] NOT NULL,
    theirs      text[] NOT NULL,
    waits_until timestamptz,
    item_id     uuid,
    is_earlier  boolean NOT NULL,
    PRIMARY KEY (ledger_id, gateway, number, finding),
    CONSTRAINT matched_is_done CHECK (kind <> 'matched' OR (waits_until IS NULL AND item_id IS NULL))
);
CREATE INDEX reconciliation_findings_open ON reconciliation_findings (ledger_id, gateway, number)
    WHERE kind <> 'matched';
CREATE INDEX reconciliation_findings_by_item
    ON reconciliation_findings (ledger_id, item_id, number) WHERE item_id IS NOT NULL;

-- The work list. `run`: whose finding it is; `version` grows with whatever changes of it, so that
-- nobody settles what he has not seen.
CREATE TABLE reconciliation_items (
    ledger_id   integer NOT NULL,
    item_id     uuid NOT NULL,
    gateway     text NOT NULL,
    state       item_state NOT NULL,
    kind        text NOT NULL,
    how         text NOT NULL,
    differences jsonb NOT NULL,         -- currency -> theirs less ours
    run         integer NOT NULL,
    changes     integer NOT NULL CHECK (changes > 0),
    version     integer NOT NULL CHECK (version > 0),
    opened_at   timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, item_id)
) WITH (fillfactor = 80);
CREATE INDEX reconciliation_items_alive ON reconciliation_items (ledger_id, gateway, item_id)
    WHERE state <> 'cleared';
CREATE INDEX reconciliation_items_by_time ON reconciliation_items (ledger_id, opened_at, item_id);
CREATE INDEX reconciliation_items_by_state
    ON reconciliation_items (ledger_id, state, opened_at, item_id);

CREATE TABLE reconciliation_changes (
    ledger_id integer NOT NULL,
    item_id   uuid NOT NULL,
    number    integer NOT NULL,         -- gapless within the item, from 1
    state     item_state NOT NULL,
    at        timestamptz NOT NULL,
    who       text NOT NULL,
    reason    text NOT NULL,
    entry_id  uuid,
    PRIMARY KEY (ledger_id, item_id, number),
    CONSTRAINT resolved_by_an_entry CHECK ((state = 'resolved') = (entry_id IS NOT NULL))
);

-- When a gateway is reconciled next, and who has it until then: as with work, under a fence.
CREATE TABLE reconciliation_schedule (
    ledger_id integer NOT NULL,
    gateway   text NOT NULL,
    due_at    timestamptz NOT NULL,
    fence     bigint NOT NULL,
    PRIMARY KEY (ledger_id, gateway)
);

-- Take what is due; a gateway that is new here is due at p_first. NULL: it is not due.
CREATE FUNCTION reconciliation_claim(
    p_ledger integer, p_gateway text, p_first timestamptz, p_lease interval
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = catena, pg_temp AS $$
DECLARE
    now timestamptz := clock_timestamp();
    until timestamptz := now + p_lease;
    taken bigint;
BEGIN
    INSERT INTO reconciliation_schedule (ledger_id, gateway, due_at, fence)
    VALUES (p_ledger, p_gateway, p_first, 0) ON CONFLICT DO NOTHING;
    UPDATE reconciliation_schedule s SET due_at = until, fence = s.fence + 1
     WHERE s.ledger_id = p_ledger AND s.gateway = p_gateway AND s.due_at <= now
    RETURNING s.fence INTO taken;
    RETURN taken;
END
$$;

-- It is done until p_next, unless somebody else has it by now.
CREATE FUNCTION reconciliation_done(
    p_ledger integer, p_gateway text, p_fence bigint, p_next timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = catena, pg_temp
BEGIN ATOMIC
    UPDATE reconciliation_schedule s SET due_at = p_next
     WHERE s.ledger_id = p_ledger AND s.gateway = p_gateway AND s.fence = p_fence;
END;

-- The work list as a run leaves it. Version 0: an item that is new. All that the run looked at must
-- be as it read them; what it does not change stays locked to its commit.
CREATE FUNCTION reconciliation_update(
    p_ledger integer, p_gateway text, p_run integer, p_at timestamptz, p_items jsonb, p_changes jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = catena, pg_temp AS $$
DECLARE
    wanted bigint;
    found bigint;
BEGIN
    SELECT count(*) INTO wanted
      FROM jsonb_to_recordset(p_items) AS u (version integer) WHERE u.version > 0;
    SELECT count(*) INTO found
      FROM (SELECT i.item_id
              FROM (SELECT p_ledger AS ledger_id, r.*
                      FROM jsonb_to_recordset(p_items) AS r (item_id uuid, version integer)
                    OFFSET 0) u
              JOIN reconciliation_items i
                ON i.ledger_id = u.ledger_id AND i.item_id = u.item_id AND i.version = u.version
             WHERE u.version > 0
             ORDER BY i.item_id FOR NO KEY UPDATE OF i) AS locked;
    IF found <> wanted THEN
        RAISE EXCEPTION 'an item has changed since it was read' USING ERRCODE = 'CT001';
    END IF;

    UPDATE reconciliation_items i
       SET state = u.state, kind = u.kind, how = u.how, differences = u.differences,
           run = coalesce(u.run, i.run), changes = u.changes, version = i.version + 1,
           changed_at = p_at
      FROM (SELECT p_ledger AS ledger_id, r.*
              FROM jsonb_to_recordset(p_items)
                   AS r (item_id uuid, version integer, state text, kind text, how text,
                         differences jsonb, run integer, changes integer, changed boolean)
            OFFSET 0) u
     WHERE u.version > 0 AND u.changed
       AND i.ledger_id = u.ledger_id AND i.item_id = u.item_id;

    INSERT INTO reconciliation_items (ledger_id, item_id, gateway, state, kind, how, differences, run,
                                      changes, version, opened_at, changed_at)
    SELECT p_ledger, u.item_id, p_gateway, u.state, u.kind, u.how, u.differences, p_run, u.changes, 1,
           p_at, p_at
      FROM jsonb_to_recordset(p_items)
           AS u (item_id uuid, version integer, state text, kind text, how text, differences jsonb,
                 changes integer)
     WHERE u.version = 0;

    INSERT INTO reconciliation_changes (ledger_id, item_id, number, state, at, who, reason)
    SELECT p_ledger, c.item_id, c.number, c.state, p_at, c.who, c.reason
      FROM jsonb_to_recordset(p_changes)
           AS c (item_id uuid, number integer, state text, who text, reason text);
END
$$;

-- What people decide about items, in the commit that posts the entry for it.
CREATE FUNCTION journal_write_items(
    p_ledger integer, p_high text, p_low bigint, base bigint, at timestamptz, p_rest jsonb
) RETURNS void
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
DECLARE
    change record;
    changed_to integer;
BEGIN
    FOR change IN SELECT * FROM jsonb_to_recordset(p_rest -> 'item_changes')
             AS c (item_id uuid, version integer, state text, who text, reason text, entry integer)
    LOOP
        UPDATE reconciliation_items i
           SET state = change.state, changes = i.changes + 1, version = i.version + 1,
               changed_at = at
         WHERE i.ledger_id = p_ledger AND i.item_id = change.item_id AND i.version = change.version
        RETURNING i.changes INTO changed_to;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'an item has changed since it was read' USING ERRCODE = 'CT001';
        END IF;
        INSERT INTO reconciliation_changes (ledger_id, item_id, number, state, at, who, reason,
                                            entry_id)
        VALUES (p_ledger, change.item_id, changed_to, change.state, at, change.who, change.reason,
                (p_high || to_hex(p_low + base + change.entry))::uuid);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION journal_write_rest(
    p_ledger integer, p_high text, p_low bigint, base bigint, at timestamptz, p_rest jsonb
) RETURNS void
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
BEGIN
    PERFORM journal_write_facts(p_ledger, p_high, p_low, base, at, p_rest);
    INSERT INTO reserves (ledger_id, account_id, recorded_at, position, reserved)
    SELECT p_ledger, r.account_id, at, base + r."offset", r.reserved
      FROM jsonb_to_recordset(p_rest -> 'reserves')
           AS r (account_id uuid, "offset" integer, reserved bigint);
    IF p_rest ?| '{notices,matched_notices,references}' THEN
        PERFORM journal_write_notices(p_ledger, at, p_rest);
    END IF;
    IF p_rest ? 'claims' THEN
        PERFORM journal_write_claims(p_ledger, p_rest);
    END IF;
    IF p_rest ? 'item_changes' THEN
        PERFORM journal_write_items(p_ledger, p_high, p_low, base, at, p_rest);
    END IF;
END
$$;

GRANT SELECT ON statement_imports, statement_lines, reconciliation_keys, reconciliations,
    reconciliation_findings, reconciliation_items, reconciliation_changes, reconciliation_schedule
    TO catena_service;
GRANT INSERT ON statement_imports, statement_lines, reconciliation_keys, reconciliations,
    reconciliation_findings TO catena_service;
REVOKE ALL ON FUNCTION reconciliation_claim, reconciliation_done, reconciliation_update,
    journal_write_items FROM public;
GRANT EXECUTE ON FUNCTION reconciliation_claim, reconciliation_done, reconciliation_update
    TO catena_service;
