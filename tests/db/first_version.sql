-- A book of one deposit, recorded a day late, in the columns that the first version had.
INSERT INTO ledgers (id, name) VALUES ('0193a0f0-0000-7000-8000-000000000000', 'old');
INSERT INTO positions (ledger_id, position, recorded_at) VALUES (1, 3, '2026-01-02');
INSERT INTO accounts (ledger_id, account_id, type, currency, revision, position,
                      created_at, updated_at)
VALUES (1, '0193a0f0-0000-7000-8000-000000000001', 'liability', 'USD', 1, 1, '2026-01-01', '2026-01-01'),
       (1, '0193a0f0-0000-7000-8000-000000000002', 'asset', 'USD', 1, 2, '2026-01-01', '2026-01-01');
INSERT INTO account_revisions (ledger_id, account_id, revision, position, recorded_at,
                               metadata, status, floor)
VALUES (1, '0193a0f0-0000-7000-8000-000000000001', 1, 1, '2026-01-01', '{}', 'active', 0),
       (1, '0193a0f0-0000-7000-8000-000000000002', 1, 2, '2026-01-01', '{}', 'active', NULL);
INSERT INTO events (ledger_id, position, event_id, type, subject, recorded_at, data)
VALUES (1, 1, '0193a0f0-0000-7000-8000-000000000001', 'account.opened',
        '0193a0f0-0000-7000-8000-000000000001', '2026-01-01', '{}'),
       (1, 2, '0193a0f0-0000-7000-8000-000000000002', 'account.opened',
        '0193a0f0-0000-7000-8000-000000000002', '2026-01-01', '{}');
INSERT INTO balances (ledger_id, account_id, version, debits, credits, reserved, line_count,
                      floor, sign, status)
VALUES (1, '0193a0f0-0000-7000-8000-000000000001', 2, 0, 500, 0, 1, 0, -1, 'active'),
       (1, '0193a0f0-0000-7000-8000-000000000002', 2, 500, 0, 0, 1, NULL, 1, 'active');
INSERT INTO entries (ledger_id, position, entry_id, type, effective_at, recorded_at)
VALUES (1, 3, '0193a0f0-0000-7000-8000-000000000003', 'deposit', '2026-01-01', '2026-01-02');
INSERT INTO lines (ledger_id, account_id, number, position, amount, debits, credits, effective_at,
                   recorded_at, ordinal, is_debit, currency)
VALUES (1, '0193a0f0-0000-7000-8000-000000000002', 1, 3, 500, 500, 0, '2026-01-01', '2026-01-02', 1, true, 'USD'),
       (1, '0193a0f0-0000-7000-8000-000000000001', 1, 3, 500, 0, 500, '2026-01-01', '2026-01-02', 2, false, 'USD');
INSERT INTO idempotency (ledger_id, key, payload, first, created_at)
VALUES (1, '0193a0f0-0000-7000-8000-000000000004', '0193a0f0-0000-7000-8000-000000000005',
        3, '2026-01-02');
