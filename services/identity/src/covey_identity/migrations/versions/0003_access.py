"""Groups as identity knows them, firms, appointments, grants, access codes, requests, and changes on their way.

Revision ID: 0003
"""

from covey_chassis.migrate import execute_all

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE group_copy (
    group_id uuid PRIMARY KEY,
    sequence bigint NOT NULL,
    group_number text NOT NULL,
    legal_name text NOT NULL,
    market_region text NOT NULL,
    billing_units text[] NOT NULL
);
CREATE INDEX ix_group_copy_number ON group_copy (group_number);

CREATE TABLE firm (
    id uuid PRIMARY KEY,
    firm_number text NOT NULL,
    firm_name text NOT NULL,
    version int NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT uq_firm_firm_number UNIQUE (firm_number)
);

CREATE TABLE appointment (
    id uuid PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES group_copy,
    firm_id uuid NOT NULL REFERENCES firm,
    starts_on date NOT NULL,
    ends_on date,
    acquired_on date NOT NULL,
    version int NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT ck_appointment_dates CHECK (ends_on >= starts_on)
);
CREATE UNIQUE INDEX uq_appointment_lasting ON appointment (group_id) WHERE ends_on IS NULL;
CREATE INDEX ix_appointment_firm ON appointment (firm_id, group_id);

CREATE TABLE firm_member (
    id uuid PRIMARY KEY,
    firm_id uuid NOT NULL REFERENCES firm,
    account_id uuid NOT NULL REFERENCES account,
    rights text[] NOT NULL,
    since timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX uq_firm_member_present ON firm_member (firm_id, account_id) WHERE ended_at IS NULL;
CREATE INDEX ix_firm_member_account ON firm_member (account_id);

CREATE TABLE access_grant (
    id uuid PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES group_copy,
    role text NOT NULL CHECK (role IN ('primary', 'secondary')),
    account_id uuid REFERENCES account,
    firm_id uuid REFERENCES firm,
    first_name text,
    last_name text,
    email text,
    email_key text,
    language text NOT NULL,
    rights text[] NOT NULL,
    billing_units text[],
    status text NOT NULL CHECK (status IN ('invited', 'active', 'removed')),
    given_by uuid REFERENCES account,
    giving_grant uuid REFERENCES access_grant,
    since timestamptz NOT NULL,
    version int NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT ck_access_grant_holder CHECK ((firm_id IS NULL) = (email IS NOT NULL)),
    CONSTRAINT ck_access_grant_person CHECK (num_nonnulls(email, email_key, first_name, last_name) IN (0, 4)),
    CONSTRAINT ck_access_grant_active CHECK (status <> 'active' OR num_nonnulls(account_id, firm_id) = 1),
    CONSTRAINT ck_access_grant_primary CHECK (role <> 'primary' OR (firm_id IS NULL AND billing_units IS NULL)),
    CONSTRAINT ck_access_grant_units CHECK (billing_units <> '{}')
);
COMMENT ON COLUMN access_grant.email_key IS 'The address in the form in which two are compared.';
COMMENT ON COLUMN access_grant.email IS 'The address that the code went to.';
CREATE UNIQUE INDEX uq_access_grant_primary ON access_grant (group_id) WHERE role = 'primary' AND status = 'active';
CREATE UNIQUE INDEX uq_access_grant_next_primary ON access_grant (group_id) WHERE role = 'primary' AND status = 'invited';
CREATE UNIQUE INDEX uq_access_grant_email ON access_grant (group_id, email_key)
    WHERE role = 'secondary' AND status <> 'removed';
CREATE UNIQUE INDEX uq_access_grant_firm ON access_grant (group_id, firm_id) WHERE status <> 'removed';
CREATE INDEX ix_access_grant_group ON access_grant (group_id, id);
CREATE INDEX ix_access_grant_account ON access_grant (account_id) WHERE account_id IS NOT NULL;

CREATE TABLE access_code (
    id uuid PRIMARY KEY,
    grant_id uuid NOT NULL REFERENCES access_grant,
    status text NOT NULL CHECK (status IN ('issued', 'redeemed', 'replaced', 'voided')),
    bucket int NOT NULL,
    hash text NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    version int NOT NULL,
    sequence bigint NOT NULL
);
COMMENT ON COLUMN access_code.hash IS 'Argon2id: the code itself is kept nowhere.';
COMMENT ON COLUMN access_code.bucket IS 'Twenty bits of a keyed hash: finds the few hashes to try, and confirms no guess.';
CREATE UNIQUE INDEX uq_access_code_issued ON access_code (grant_id) WHERE status = 'issued';
CREATE INDEX ix_access_code_grant ON access_code (grant_id, id);
CREATE INDEX ix_access_code_bucket ON access_code (bucket);

CREATE TABLE exclusion (
    id uuid PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES group_copy,
    account_id uuid NOT NULL REFERENCES account,
    active boolean NOT NULL,
    CONSTRAINT uq_exclusion UNIQUE (group_id, account_id)
);

CREATE TABLE access_request (
    id uuid PRIMARY KEY,
    reference text NOT NULL,
    group_number text NOT NULL,
    company text NOT NULL,
    officer_first_name text NOT NULL,
    officer_last_name text NOT NULL,
    officer_email text NOT NULL,
    first_name text NOT NULL,
    last_name text NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    language text NOT NULL,
    status text NOT NULL CHECK (status IN ('submitted', 'approved', 'declined', 'voided')),
    reason text,
    group_id uuid REFERENCES group_copy,
    submitted_at timestamptz NOT NULL,
    decided_by uuid REFERENCES account,
    decided_at timestamptz,
    version int NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT uq_access_request_reference UNIQUE (reference),
    CONSTRAINT ck_access_request_decided CHECK ((status = 'submitted') = (decided_at IS NULL)),
    CONSTRAINT ck_access_request_reason CHECK (status <> 'declined' OR reason <> ''),
    CONSTRAINT ck_access_request_group CHECK ((status = 'approved') <= (group_id IS NOT NULL))
);
CREATE INDEX ix_access_request_open ON access_request (id) WHERE status = 'submitted';
CREATE INDEX ix_access_request_group ON access_request (group_number) WHERE status = 'submitted';

CREATE TABLE access_change (
    id uuid PRIMARY KEY,
    rev bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('granted', 'changed', 'removed')),
    group_id uuid NOT NULL,
    account_id uuid,
    firm_id uuid,
    requested_by uuid,
    at timestamptz NOT NULL,
    done_at timestamptz,
    superseded_at timestamptz,
    how text CHECK (how IN ('acknowledged', 'silence')),
    CONSTRAINT ck_access_change_done CHECK ((done_at IS NULL) = (how IS NULL))
);
COMMENT ON TABLE access_change IS 'Changes of access on their way: done once every service goes by them.';
CREATE INDEX ix_access_change_removed_group ON access_change (group_id)
    WHERE kind = 'removed' AND superseded_at IS NULL;
CREATE INDEX ix_access_change_removed_account ON access_change (account_id)
    WHERE kind = 'removed' AND superseded_at IS NULL;
CREATE INDEX ix_access_change_pending ON access_change (id) WHERE done_at IS NULL;
"""


def upgrade() -> None:
    execute_all(TABLES)
