"""Copies of groups and renewals, transactions with their rounds, representatives, and programs' decisions.

Revision ID: 0001
"""

from covey_chassis.migrate import execute_all

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE group_copy (
    group_id uuid PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence > 0),
    group_number text NOT NULL,
    legal_name text NOT NULL,
    market_region text NOT NULL
);
CREATE INDEX ix_group_copy_number ON group_copy (group_number);
CREATE INDEX ix_group_copy_search ON group_copy USING gin (legal_name gin_trgm_ops, group_number gin_trgm_ops);

CREATE TABLE group_plan (
    group_id uuid NOT NULL REFERENCES group_copy,
    plan_year int NOT NULL,
    plan_id text NOT NULL,
    PRIMARY KEY (group_id, plan_year, plan_id)
);

CREATE TABLE known_plan (
    market_region text NOT NULL,
    plan_year int NOT NULL,
    plan_id text NOT NULL,
    PRIMARY KEY (market_region, plan_year, plan_id)
);
COMMENT ON TABLE known_plan IS 'What some group there has, or had, in that plan year. Nothing leaves it.';

CREATE TABLE renewal_copy (
    renewal_id uuid PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence > 0),
    group_id uuid NOT NULL,
    plan_year int NOT NULL,
    effective_date date NOT NULL,
    status text NOT NULL CHECK (status IN (
        'upcoming', 'available', 'in progress', 'pending review', 'action required', 'completed', 'rolled over', 'ended'
    ))
);
COMMENT ON TABLE renewal_copy IS 'May be here before its group is. Locked by the first save of a transaction.';
CREATE INDEX ix_renewal_copy_group ON renewal_copy (group_id, plan_year, renewal_id);

CREATE TABLE transaction (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    kind text NOT NULL CHECK (kind IN ('quote', 'enrollment', 'renewal changes')),
    status text NOT NULL CHECK (status IN (
        'open', 'pending review', 'action required', 'completed', 'declined', 'withdrawn'
    )),
    group_id uuid NOT NULL REFERENCES group_copy,
    renewal_id uuid NOT NULL REFERENCES renewal_copy,
    plan_year int NOT NULL,
    effective_date date NOT NULL,
    owner_id uuid NOT NULL,
    worked_on_by uuid[] NOT NULL CHECK (owner_id = ANY (worked_on_by)),
    draft jsonb NOT NULL,
    classes int NOT NULL,
    enrollments int NOT NULL,
    terminations int NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    saved_at timestamptz,
    claimed_by uuid,
    claimed_until timestamptz,
    CONSTRAINT ck_transaction_saved CHECK (saved_at IS NOT NULL OR status IN ('open', 'withdrawn')),
    CONSTRAINT ck_transaction_claim CHECK (num_nulls(claimed_by, claimed_until) IN (0, 2)),
    CONSTRAINT ck_transaction_claimed CHECK (claimed_by IS NULL OR status = 'pending review')
);
COMMENT ON COLUMN transaction.saved_at IS 'Null in what was never saved: it is in no list, and nobody has heard of it.';
COMMENT ON COLUMN transaction.worked_on_by IS 'Who opened, saved or submitted it: they do not review it.';
CREATE UNIQUE INDEX uq_transaction_plan_year ON transaction (group_id, plan_year)
    WHERE saved_at IS NOT NULL AND status IN ('open', 'pending review', 'action required', 'completed');
CREATE INDEX ix_transaction_listed ON transaction (created_at, id) WHERE saved_at IS NOT NULL;
CREATE INDEX ix_transaction_group ON transaction (group_id, created_at, id) WHERE saved_at IS NOT NULL;
CREATE INDEX ix_transaction_owner ON transaction (owner_id, created_at, id) WHERE saved_at IS NOT NULL;
CREATE INDEX ix_transaction_status ON transaction (status, created_at, id) WHERE saved_at IS NOT NULL;
CREATE INDEX ix_transaction_claim ON transaction (claimed_by) WHERE claimed_by IS NOT NULL;

CREATE TABLE round (
    transaction_id uuid NOT NULL REFERENCES transaction,
    number int NOT NULL CHECK (number > 0),
    content jsonb NOT NULL,
    submitted_by uuid NOT NULL,
    submitted_at timestamptz NOT NULL,
    outcome text CHECK (outcome IN ('returned', 'approved', 'declined', 'withdrawn')),
    decided_by uuid,
    decided_at timestamptz,
    instructions text,
    required_items text[],
    representative_id uuid,
    representative_name text,
    representative_phone text,
    representative_email text,
    reason text,
    PRIMARY KEY (transaction_id, number),
    CHECK (num_nulls(outcome, decided_by, decided_at) IN (0, 3)),
    CHECK (num_nulls(instructions, required_items, representative_id, representative_name, representative_phone,
                     representative_email) = CASE WHEN outcome = 'returned' THEN 0 ELSE 6 END),
    CHECK ((outcome IS NOT DISTINCT FROM 'declined') = (reason IS NOT NULL))
);
CREATE UNIQUE INDEX uq_round_undecided ON round (transaction_id) WHERE outcome IS NULL;
CREATE INDEX ix_round_queue ON round (submitted_at, transaction_id) WHERE outcome IS NULL;

CREATE TABLE representative (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    sequence bigint NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    phone text NOT NULL CHECK (phone <> ''),
    email text NOT NULL CHECK (email <> ''),
    active boolean NOT NULL
);

CREATE TABLE program_command (
    account_id uuid NOT NULL,
    key_id uuid NOT NULL,
    command_id uuid NOT NULL,
    transaction_id uuid NOT NULL,
    answer jsonb NOT NULL,
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key_id, command_id, transaction_id)
);
COMMENT ON TABLE program_command IS 'What programs were answered: the same command again gets the same answer.'
"""


def upgrade() -> None:
    execute_all(TABLES)
