-- Guards that need triggers: an extra on plain PostgreSQL, applied after every migration and left
-- out where distributed tables forbid triggers. The road that writes and `catena verify` hold the
-- same rules.

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', tg_table_name USING ERRCODE = 'CT101';
END
$$;

-- In the order in which a commit locks these tables: a start beside it never deadlocks.
CREATE OR REPLACE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON account_revisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON statement_imports
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON statement_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation_findings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Checked once a statement: the lines of an entry are inserted together.
CREATE OR REPLACE FUNCTION refuse_unbalanced() RETURNS trigger
LANGUAGE plpgsql SET search_path = catena, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM added GROUP BY ledger_id, position, currency
               HAVING sum(CASE WHEN is_debit THEN amount ELSE -amount END) <> 0) THEN
        RAISE EXCEPTION 'an entry does not balance' USING ERRCODE = 'CT102';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER balanced AFTER INSERT ON lines REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced();
