-- What was under lien on an account at any moment: one row for each commit that changed it.

CREATE TABLE reserves (
    ledger_id   integer NOT NULL,
    account_id  uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    position    bigint NOT NULL,        -- the commit's last
    reserved    bigint NOT NULL CHECK (reserved >= 0),
    PRIMARY KEY (ledger_id, account_id, recorded_at, position)
);

-- Of what was reserved before this table was there only its present amount is known.
INSERT INTO reserves (ledger_id, account_id, recorded_at, position, reserved)
SELECT b.ledger_id, b.account_id, p.recorded_at, p.position, b.reserved
  FROM balances b JOIN positions p ON p.ledger_id = b.ledger_id
 WHERE b.reserved > 0;

ALTER FUNCTION journal_write_rest RENAME TO journal_write_facts;
CREATE FUNCTION journal_write_rest(
    p_ledger integer, p_high text, p_low bigint, base bigint, at timestamptz, p_rest jsonb
) RETURNS void
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
BEGIN
    PERFORM journal_write_facts(p_ledger, p_high, p_low, base, at, p_rest);
    INSERT INTO reserves (ledger_id, account_id, recorded_at, position, reserved)
    SELECT p_ledger, r.account_id, at, base + r."offset", r.reserved
      FROM jsonb_to_recordset(p_rest -> 'reserves')
           AS r (account_id uuid, "offset" integer, reserved bigint);
END
$$;

GRANT SELECT ON reserves TO catena_service;
REVOKE ALL ON FUNCTION journal_write_rest FROM public;
