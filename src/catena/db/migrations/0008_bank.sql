-- The bank rail: orders that leave in files, what comes back in files, and whose money came in.
--
-- None of this is money: that moves by chains alone, through the journal. What a bank has had is never
-- changed here: of a file the service may not touch the bytes, of an order not the words.

CREATE DOMAIN bank_order_state AS text
    CHECK (VALUE IN ('open', 'sealed', 'accepted', 'paid', 'declined', 'returned'));
CREATE DOMAIN bank_file_state AS text CHECK (VALUE IN ('sealed', 'taken', 'refusing', 'refused'));

-- What is to be paid, each once. `key` is the step's, and `end_to_end_id` is made of it: so there is one
-- name to look an order up by, and one index for it. `told_by`: the notice that its state is from.
CREATE TABLE bank_orders (
    ledger_id     integer NOT NULL,
    gateway       text NOT NULL,
    key           text NOT NULL,
    end_to_end_id text NOT NULL,
    amount        bigint NOT NULL CHECK (amount > 0),
    currency      text NOT NULL,
    name          text NOT NULL,
    iban          text NOT NULL,
    bic           text,
    remittance    text NOT NULL,
    requested_on  date NOT NULL,
    chain_id      uuid,                  -- whose order it is
    collected_at  timestamptz NOT NULL,
    message_id    text,                  -- the file that it left in, and its payment block there
    block_id      text,
    state         bank_order_state NOT NULL,
    code          text NOT NULL,
    told_by       text,
    PRIMARY KEY (ledger_id, gateway, end_to_end_id),
    CHECK ((message_id IS NULL) = (block_id IS NULL))
);
CREATE INDEX bank_orders_open ON bank_orders (ledger_id, gateway, collected_at, end_to_end_id)
    WHERE state = 'open';

-- Files of orders: sealed in one commit, then the same bytes until the bank has answered. `due_at`: when
-- the next delivery is due, or when the lease of who delivers ends; a result counts under its `fence`.
-- `message_id` is made of `file_id`; `names` are the EndToEndIds of its orders.
CREATE TABLE bank_files (
    ledger_id  integer NOT NULL,
    gateway    text NOT NULL,
    file_id    uuid NOT NULL,
    message_id text NOT NULL,
    content    bytea NOT NULL,
    names      text[] NOT NULL CHECK (cardinality(names) > 0),
    total      bigint NOT NULL CHECK (total > 0),
    currency   text NOT NULL,
    sealed_at  timestamptz NOT NULL,
    state      bank_file_state NOT NULL,
    code       text NOT NULL,
    text       text NOT NULL,
    tries      integer NOT NULL,
    due_at     timestamptz NOT NULL,
    fence      bigint NOT NULL,
    PRIMARY KEY (ledger_id, gateway, message_id)
);
CREATE INDEX bank_files_due ON bank_files (ledger_id, gateway, due_at)
    WHERE state IN ('sealed', 'refusing');

-- What the bank has given us, as it came. `read_at`: all that it says is taken in. `failure`: why it
-- cannot be read.
CREATE TABLE bank_inbox (
    ledger_id       integer NOT NULL,
    gateway         text NOT NULL,
    name            text NOT NULL,
    id              uuid NOT NULL,
    content         bytea NOT NULL,
    hash            bytea NOT NULL,      -- SHA-256
    received_at     timestamptz NOT NULL,
    acknowledged_at timestamptz,
    read_at         timestamptz,
    failure         text,
    PRIMARY KEY (ledger_id, gateway, name)
);
CREATE INDEX bank_inbox_unread ON bank_inbox (ledger_id, gateway, received_at, name)
    WHERE read_at IS NULL AND failure IS NULL;

-- Statements in the order in which they were read: each is held against the one before.
CREATE TABLE bank_statements (
    ledger_id    integer NOT NULL,
    gateway      text NOT NULL,
    account      text NOT NULL,
    number       bigint NOT NULL,        -- ours, from 1
    statement_id text NOT NULL,
    page         bigint NOT NULL,
    is_last      boolean NOT NULL,
    electronic   bigint,
    legal        bigint,
    balance      bigint,                 -- at its end, in minor units
    currency     text NOT NULL,
    entries      bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    file         text NOT NULL,
    PRIMARY KEY (ledger_id, gateway, account, number)
);

-- The booked entries of statements, for reconciliation: they count once their file is read. A day's
-- entries have one moment; `number` says in which order they stood there.
CREATE TABLE bank_lines (
    ledger_id integer NOT NULL,
    gateway   text NOT NULL,
    id        text NOT NULL,
    subject   text NOT NULL,
    amount    bigint NOT NULL,
    currency  text NOT NULL,
    reference text,
    at        timestamptz NOT NULL,
    text      text NOT NULL,
    file      text NOT NULL,
    number    bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (ledger_id, gateway, id)
);
CREATE INDEX bank_lines_by_time ON bank_lines (ledger_id, gateway, at, number);
CREATE INDEX bank_lines_by_file ON bank_lines (ledger_id, gateway, file);
CREATE INDEX bank_lines_by_order ON bank_lines (ledger_id, gateway, reference)
    WHERE subject = 'payout' AND reference IS NOT NULL;

-- What a person has to look at: gaps, files that cannot be read, words that contradict each other; and
-- who has. `key` and `payload` are of the request that said so. One that says something new is open again.
CREATE TABLE bank_alarms (
    ledger_id       integer NOT NULL,
    gateway         text NOT NULL,
    id              text NOT NULL,
    alarm_id        uuid NOT NULL,
    kind            text NOT NULL,
    about           text NOT NULL,
    details         jsonb NOT NULL,
    raised_at       timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text,
    reason          text,
    key             uuid,
    payload         uuid,
    PRIMARY KEY (ledger_id, gateway, id)
);
CREATE UNIQUE INDEX bank_alarms_by_id ON bank_alarms (ledger_id, alarm_id);
CREATE INDEX bank_alarms_by_key ON bank_alarms (ledger_id, key) WHERE key IS NOT NULL;
CREATE INDEX bank_alarms_by_time ON bank_alarms (ledger_id, raised_at, gateway, id);

-- What is done by one process at a time, and when it is due again. `failing_since`: nothing came of it
-- since then.
CREATE TABLE bank_turns (
    ledger_id   integer NOT NULL,
    gateway     text NOT NULL,
    task        text NOT NULL,
    due_at      timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    fence       bigint NOT NULL,
    failing_since timestamptz,
    PRIMARY KEY (ledger_id, gateway, task)
);

-- What is in suspense is read from the books; the entry that assigns it has the id of what put it there
-- as its reference, with the number of the assignment from the second on. `undone`: how many assignments
-- were reversed, counted before there is a next one.
CREATE TABLE suspense_undone (
    ledger_id integer NOT NULL,
    entry_id  uuid NOT NULL,             -- that has put it there
    undone    integer NOT NULL CHECK (undone > 0),
    PRIMARY KEY (ledger_id, entry_id)
);

-- How a payer says whose the money is. `key` and `payload` are of the request that made it.
CREATE TABLE virtual_ibans (
    ledger_id  integer NOT NULL,
    gateway    text NOT NULL,
    iban       text NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    key        uuid NOT NULL,
    payload    uuid NOT NULL,
    PRIMARY KEY (ledger_id, iban)
);
CREATE UNIQUE INDEX virtual_ibans_by_key ON virtual_ibans (ledger_id, key);

CREATE TABLE deposit_references (
    ledger_id  integer NOT NULL,
    reference  text NOT NULL,            -- letters and digits, in capitals
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    key        uuid NOT NULL,
    payload    uuid NOT NULL,
    PRIMARY KEY (ledger_id, reference)
);
CREATE UNIQUE INDEX deposit_references_by_key ON deposit_references (ledger_id, key);

GRANT SELECT, INSERT ON bank_orders, bank_files, bank_inbox, bank_statements, bank_lines, bank_alarms,
    bank_turns, suspense_undone, virtual_ibans, deposit_references TO catena_service;
GRANT UPDATE (message_id, block_id, state, code, told_by) ON bank_orders TO catena_service;
GRANT UPDATE (state, code, text, tries, due_at, fence) ON bank_files TO catena_service;
GRANT UPDATE (acknowledged_at, read_at, failure) ON bank_inbox TO catena_service;
GRANT UPDATE (details, raised_at, acknowledged_at, acknowledged_by, reason, key, payload) ON bank_alarms
    TO catena_service;
GRANT UPDATE (due_at, lease_until, fence, failing_since) ON bank_turns TO catena_service;
GRANT UPDATE (undone) ON suspense_undone TO catena_service;
GRANT DELETE ON virtual_ibans, deposit_references TO catena_service;
