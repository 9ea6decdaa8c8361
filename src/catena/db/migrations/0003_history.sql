-- The past of an account: where a moment stands among its lines, what it had then, and its lines in
-- the order of their effective dates. No cost here grows with the number of lines.
--
-- Lines have two orders. Recorded: by (recorded_at, number), which is the order of their numbers.
-- Effective: by (effective_at, number). A timely line (effective_at = recorded_at) stands at the same
-- place in both; a backdated one stands earlier in the second. Both orders are cut by a moment and a
-- number: what stands before the cut is (.._at, number) < (moment, number).

-- How late a backdated line was, in classes. A line that stands before a cut in one order and after
-- it in the other has an effective date within its class's limit of the cut: so an index by class
-- finds it without looking at every older one. The index below holds these classes: new ones, new index.
CREATE FUNCTION lag_limits() RETURNS interval[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY[interval '1 millisecond', interval '10 milliseconds', interval '100 milliseconds',
             interval '1 second', interval '10 seconds', interval '1 minute', interval '10 minutes',
             interval '1 hour', interval '6 hours', interval '24 hours', interval '168 hours',
             interval '720 hours', interval '8760 hours'];

CREATE FUNCTION lag_class(lag interval) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN width_bucket(lag, lag_limits());

DROP INDEX lines_backdated;
CREATE INDEX lines_backdated
    ON lines (ledger_id, account_id, lag_class(recorded_at - effective_at), effective_at, number)
    WHERE effective_at < recorded_at;

-- The terms of an account at a moment.
CREATE INDEX account_revisions_by_time
    ON account_revisions (ledger_id, account_id, recorded_at, revision);

-- How many of an account's first p_count lines stand before the cut in recorded order. Numbers are
-- gapless and recorded_at never decreases with them, so this is a search by halves.
CREATE FUNCTION lines_before(
    p_ledger integer, p_account uuid, p_count bigint, p_moment timestamptz, p_number bigint
) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = catena, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
DECLARE
    low bigint := 0;                -- so many stand before the cut
    high bigint := p_count + 1;     -- this one does not
    middle bigint := p_count;       -- most questions are about the end
BEGIN
    WHILE high - low > 1 LOOP
        IF (SELECT (l.recorded_at, l.number) < (p_moment, p_number) FROM lines l
             WHERE l.ledger_id = p_ledger AND l.account_id = p_account AND l.number = middle) THEN
            low := middle;
        ELSE
            high := middle;
        END IF;
        middle := (low + high) / 2;
    END LOOP;
    RETURN low;
END
$$;

-- The totals of those of an account's first p_known lines that stand before the cut in effective
-- order: the totals recorded before it, and the backdated lines that were recorded after it.
CREATE FUNCTION totals_before(
    p_ledger integer, p_account uuid, p_known bigint, p_moment timestamptz, p_number bigint,
    OUT debits bigint, OUT credits bigint
)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = catena, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET random_page_cost = 0.1
AS $$
DECLARE
    base bigint := lines_before(p_ledger, p_account, p_known, p_moment, p_number);
BEGIN
    SELECT l.debits, l.credits INTO debits, credits
      FROM lines l WHERE l.ledger_id = p_ledger AND l.account_id = p_account AND l.number = base;
    SELECT coalesce(debits, 0) + coalesce(sum(late.amount) FILTER (WHERE late.is_debit), 0),
           coalesce(credits, 0) + coalesce(sum(late.amount) FILTER (WHERE NOT late.is_debit), 0)
      INTO debits, credits
      FROM unnest(lag_limits() || interval '10000000 hours') WITH ORDINALITY AS class (lag, ordinal)
     CROSS JOIN LATERAL (
           SELECT b.number, b.amount, b.is_debit FROM lines b
            WHERE b.ledger_id = p_ledger AND b.account_id = p_account
              AND b.effective_at < b.recorded_at
              AND lag_class(b.recorded_at - b.effective_at) = (class.ordinal - 1)::integer
              AND b.effective_at > p_moment - class.lag
              AND (b.effective_at, b.number) < (p_moment, p_number)
            ORDER BY b.effective_at OFFSET 0  -- a fence: each class by itself, by this order's index
           ) late
     WHERE late.number > base AND late.number <= p_known;
END
$$;

REVOKE ALL ON FUNCTION lag_limits, lag_class, lines_before, totals_before FROM public;
GRANT EXECUTE ON FUNCTION lag_limits, lag_class, lines_before, totals_before TO catena_service;
