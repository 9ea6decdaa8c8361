-- The ledger: books, accounts, entries, lines, and the keys and events that commit with them.
--
-- A ledger is one book. Every row about money leads with its ledger_id: primary keys, unique
-- constraints and every statement of the money path, so that a book can live on a shard of its own.
-- Nothing here refers to another table by foreign key: the road that writes (0002) has locked or
-- version-checked what it names, and `catena verify` proves it from the lines alone.

-- The closed sets. Domains, since a table's own CHECK is parsed anew by every statement that writes.

CREATE DOMAIN account_type AS text
    CHECK (VALUE IN ('asset', 'liability', 'equity', 'revenue', 'expense'));
CREATE DOMAIN account_role AS text
    CHECK (VALUE IN ('holding', 'clearing', 'fees', 'losses', 'fx'));
CREATE DOMAIN account_status AS text
    CHECK (VALUE IN ('active', 'frozen', 'blocked', 'closed'));
CREATE DOMAIN entry_type AS text
    CHECK (VALUE IN ('deposit', 'withdrawal', 'transfer', 'fee', 'refund', 'exchange', 'reversal',
                     'adjustment'));

-- Installation: these carry no ledger's money.

CREATE TABLE ledgers (
    ledger_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid NOT NULL UNIQUE,
    name        text NOT NULL,
    assets      jsonb NOT NULL DEFAULT '{}',  -- code -> exponent, beside ISO 4217
    payload     uuid,                   -- of the request that made it
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE api_keys (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    secret_hash bytea NOT NULL UNIQUE,  -- SHA-256 of a secret with 256 random bits
    scopes      text[] NOT NULL,
    ledgers     uuid[],                 -- NULL: every ledger
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at  timestamptz
);

CREATE TABLE installation (
    name        text PRIMARY KEY,
    value       text NOT NULL           -- such as the secret that signs cursors
);

-- The numbering. One row a ledger; its lock is a commit's last, so position order is commit order.

CREATE TABLE positions (
    ledger_id   integer PRIMARY KEY,
    position    bigint NOT NULL CHECK (position >= 0),
    recorded_at timestamptz NOT NULL    -- of the last commit; never decreases
) WITH (fillfactor = 10);

-- Accounts: who they are (accounts), what decisions read (balances), and every past form of what
-- people may change (account_revisions).

CREATE TABLE accounts (
    ledger_id   integer NOT NULL,
    account_id  uuid NOT NULL,
    type        account_type NOT NULL,
    currency    text NOT NULL,
    role        account_role,
    user_id     text,
    name        text,
    metadata    jsonb NOT NULL DEFAULT '{}',
    revision    integer NOT NULL CHECK (revision > 0),
    position    bigint NOT NULL,        -- of the event that opened it
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, account_id)
);
CREATE UNIQUE INDEX accounts_by_role ON accounts (ledger_id, role, currency) WHERE role IS NOT NULL;
CREATE INDEX accounts_by_user ON accounts (ledger_id, user_id, account_id) WHERE user_id IS NOT NULL;
CREATE INDEX accounts_by_metadata ON accounts USING gin (metadata jsonb_path_ops);

CREATE TABLE balances (
    ledger_id   integer NOT NULL,
    account_id  uuid NOT NULL,
    version     bigint NOT NULL,        -- grows with every write; a decision names the one it read
    debits      bigint NOT NULL,
    credits     bigint NOT NULL,
    reserved    bigint NOT NULL,        -- under lien
    line_count  bigint NOT NULL,
    floor       bigint,
    ceiling     bigint,
    sign        smallint NOT NULL,      -- +1: grows by debits, -1: by credits
    status      account_status NOT NULL,
    PRIMARY KEY (ledger_id, account_id),
    CONSTRAINT no_overdraft CHECK (sign * (debits - credits) - reserved >= floor),
    CONSTRAINT liens_need_a_floor CHECK (reserved = 0 OR (reserved > 0 AND floor IS NOT NULL)),
    CONSTRAINT closed_is_empty CHECK (status <> 'closed' OR (debits = credits AND reserved = 0))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

CREATE TABLE account_revisions (
    ledger_id   integer NOT NULL,
    account_id  uuid NOT NULL,
    revision    integer NOT NULL,
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    name        text,
    metadata    jsonb NOT NULL,
    status      text NOT NULL,
    floor       bigint,
    ceiling     bigint,
    PRIMARY KEY (ledger_id, account_id, revision)
);

-- Entries and lines: facts, never changed and never deleted.

CREATE TABLE entries (
    ledger_id    integer NOT NULL,
    position     bigint NOT NULL,
    entry_id     uuid NOT NULL,         -- carries the position, so it needs no index
    type         entry_type NOT NULL,
    effective_at timestamptz NOT NULL,  -- when it counts
    recorded_at  timestamptz NOT NULL,  -- when we learned it
    corrects     bigint,                -- the position of the entry that it reverses or refunds
    description  text,
    reference    text,
    content      uuid,                  -- of what was sent under the reference
    metadata     jsonb,
    details      jsonb,                 -- what was computed: fees, rate
    PRIMARY KEY (ledger_id, position),
    CONSTRAINT never_in_the_future CHECK (effective_at <= recorded_at),
    CONSTRAINT content_with_reference CHECK ((reference IS NULL) = (content IS NULL))
);
CREATE UNIQUE INDEX entries_by_reference ON entries (ledger_id, type, reference)
    WHERE reference IS NOT NULL;

CREATE TABLE lines (
    ledger_id    integer NOT NULL,
    account_id   uuid NOT NULL,
    number       bigint NOT NULL,       -- gapless within the account, from 1
    position     bigint NOT NULL,       -- of its entry
    amount       bigint NOT NULL CHECK (amount > 0),
    debits       bigint NOT NULL,       -- the account's totals after this line
    credits      bigint NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    ordinal      smallint NOT NULL,     -- its place in the entry, from 1
    is_debit     boolean NOT NULL,
    currency     text NOT NULL,
    PRIMARY KEY (ledger_id, account_id, number)
);
CREATE INDEX lines_by_entry ON lines (ledger_id, position);
CREATE INDEX lines_backdated ON lines (ledger_id, account_id, effective_at)
    WHERE effective_at < recorded_at;

-- What undoes an entry: at most one reversal in force, and refunds up to its amount.

CREATE TABLE corrections (
    ledger_id   integer NOT NULL,
    position    bigint NOT NULL,        -- of the corrected entry
    reversal    bigint,                 -- of the reversal in force
    refunded    bigint NOT NULL CHECK (refunded >= 0),  -- of its debits
    shares      jsonb,                  -- how much of each line was refunded, in their order
    version     bigint NOT NULL,
    PRIMARY KEY (ledger_id, position),
    CONSTRAINT one_or_the_other CHECK (reversal IS NULL OR refunded = 0),
    CONSTRAINT shares_with_refund CHECK ((shares IS NULL) = (refunded = 0))
);

-- Events: the outbox. An entry is its own event; everything else that happened is a row here, in
-- the same numbering. A reader behind a position misses nothing.

CREATE TABLE events (
    ledger_id   integer NOT NULL,
    position    bigint NOT NULL,
    event_id    uuid NOT NULL,
    type        text NOT NULL,
    subject     uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    data        jsonb NOT NULL,
    PRIMARY KEY (ledger_id, position)
);

-- Idempotency: what a key was used for and how to give the first answer again. The answer is read
-- back from immutable rows: one position an operation, counted from `first`, but for the operations
-- in `exceptions` (index -> a refusal, or the position of an earlier entry).

CREATE TABLE idempotency (
    ledger_id   integer NOT NULL,
    key         uuid NOT NULL,          -- hash of caller and key
    payload     uuid NOT NULL,          -- hash of operation and content
    first       bigint,
    exceptions  jsonb,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (ledger_id, key)
);
CREATE INDEX idempotency_by_age ON idempotency USING brin (created_at);
