-- Money in and out: what gateways hold for us, and whose it is until somebody says so.

-- Each gateway has a clearing account of its own in each currency: `clearing.<gateway>`.
ALTER DOMAIN account_role DROP CONSTRAINT account_role_check;
ALTER DOMAIN account_role ADD CONSTRAINT account_role_check
    CHECK (VALUE IN ('holding', 'clearing', 'fees', 'losses', 'fx', 'suspense', 'gateway_fees')
           OR VALUE ~ '^clearing\.[a-z][a-z0-9-]{0,29}$');

-- What gateways have said, each thing once: `id` is their event's. `chain_id`: the chain that it is
-- about and was told, or that began for it (`began`, too). Without one nobody knows what it is about:
-- it is listed, and tried again.
CREATE TABLE notices (
    ledger_id   integer NOT NULL,
    gateway     text NOT NULL,
    id          text NOT NULL,
    subject     text NOT NULL,
    notice      jsonb NOT NULL,
    chain_id    uuid,
    began       uuid,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, gateway, id)
);
CREATE INDEX notices_unmatched ON notices (ledger_id, received_at, gateway, id)
    WHERE chain_id IS NULL;
CREATE INDEX notices_by_chain ON notices (ledger_id, chain_id) WHERE chain_id IS NOT NULL;

-- The names that gateways gave to what chains have asked of them: found in the chains' histories.
CREATE TABLE chain_references (
    ledger_id integer NOT NULL,
    gateway   text NOT NULL,
    reference text NOT NULL,
    chain_id  uuid NOT NULL,
    step      text NOT NULL,
    PRIMARY KEY (ledger_id, gateway, reference, chain_id, step)
);
CREATE INDEX chain_references_by_chain ON chain_references (ledger_id, chain_id);

-- References that chains hold as the entries would that they stand for: each once, for ever.
CREATE TABLE claims (
    ledger_id integer NOT NULL,
    type      text NOT NULL,             -- of those entries
    reference text NOT NULL,
    content   uuid NOT NULL,             -- of what was sent under the reference
    chain_id  uuid NOT NULL,
    PRIMARY KEY (ledger_id, type, reference)
);
CREATE INDEX claims_by_chain ON claims (ledger_id, chain_id);

CREATE INDEX chains_of_gateways ON chains (ledger_id, type, chain_id)
    WHERE starts_with(type, 'gateway.');

-- The references of chains' entries are to search by.
CREATE INDEX entries_of_chains_by_reference ON entries (ledger_id, reference, position)
    WHERE reference IS NOT NULL AND chain_id IS NOT NULL;

CREATE FUNCTION journal_write_claims(p_ledger integer, p_rest jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
BEGIN
    INSERT INTO claims (ledger_id, type, reference, content, chain_id)
    SELECT p_ledger, c.type, c.reference, c.content, c.chain_id
      FROM jsonb_to_recordset(p_rest -> 'claims')
           AS c (type text, reference text, content uuid, chain_id uuid);
    -- Under the lock of the ledger's position: whatever was committed before is seen.
    PERFORM FROM jsonb_to_recordset(p_rest -> 'claims') AS c (type text, reference text)
      CROSS JOIN LATERAL (SELECT FROM entries e
                           WHERE e.ledger_id = p_ledger AND e.type = c.type
                             AND e.reference = c.reference AND e.chain_id IS NULL OFFSET 0) e;
    IF FOUND THEN
        RAISE EXCEPTION 'an entry has taken this reference' USING ERRCODE = 'CT001';
    END IF;
END
$$;

CREATE FUNCTION journal_write_notices(p_ledger integer, at timestamptz, p_rest jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
DECLARE
    wanted bigint;
    found bigint;
BEGIN
    INSERT INTO notices (ledger_id, gateway, id, subject, notice, chain_id, began, received_at)
    SELECT p_ledger, n.gateway, n.id, n.subject, n.notice, n.chain_id, n.began, at
      FROM jsonb_to_recordset(p_rest -> 'notices')
           AS n (gateway text, id text, subject text, notice jsonb, chain_id uuid, began uuid);

    -- One that nobody knew what to do with, until now.
    SELECT count(*) INTO wanted FROM jsonb_to_recordset(p_rest -> 'matched_notices') AS n (id text);
    IF wanted > 0 THEN
        -- (Not IS NULL: that would call for the index of the unmatched, and read them all.)
        SELECT count(*) INTO found
          FROM jsonb_to_recordset(p_rest -> 'matched_notices') AS u (gateway text, id text)
         CROSS JOIN LATERAL (SELECT FROM notices n
                              WHERE n.ledger_id = p_ledger AND n.gateway = u.gateway AND n.id = u.id
                                AND num_nulls(n.chain_id) = 1 OFFSET 0) n;
        IF found <> wanted THEN
            RAISE EXCEPTION 'somebody else has matched this notice' USING ERRCODE = 'CT001';
        END IF;
        UPDATE notices n SET chain_id = u.chain_id, began = u.began
          FROM (SELECT p_ledger AS ledger_id, r.*
                  FROM jsonb_to_recordset(p_rest -> 'matched_notices')
                       AS r (gateway text, id text, chain_id uuid, began uuid) OFFSET 0) u
         WHERE n.ledger_id = u.ledger_id AND n.gateway = u.gateway AND n.id = u.id;
    END IF;

    INSERT INTO chain_references (ledger_id, gateway, reference, chain_id, step)
    SELECT p_ledger, r.gateway, r.reference, r.chain_id, r.step
      FROM jsonb_to_recordset(p_rest -> 'references')
           AS r (gateway text, reference text, chain_id uuid, step text)
        ON CONFLICT DO NOTHING;
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
END
$$;

GRANT SELECT ON notices, chain_references, claims TO catena_service;
REVOKE ALL ON FUNCTION journal_write_notices, journal_write_claims FROM public;
