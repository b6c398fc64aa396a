"""Groups, and the files that they come in with.

Revision ID: 0001
"""

from covey_chassis.migrate import execute_all

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE covered_group (
    group_id uuid PRIMARY KEY,
    group_number text NOT NULL,
    legal_name text NOT NULL,
    ein text NOT NULL,
    market_region text NOT NULL,
    street text NOT NULL,
    city text NOT NULL,
    state text NOT NULL,
    county text NOT NULL,
    zip text NOT NULL,
    contract_signer_name text NOT NULL,
    contract_signer_email text NOT NULL,
    billing_contact_name text NOT NULL,
    billing_contact_email text NOT NULL,
    firm_number text,
    firm_name text,
    acquired_date date,
    firm_contact_name text,
    firm_contact_email text,
    effective_date date NOT NULL,
    renewal_date date NOT NULL,
    version int NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT uq_covered_group_group_number UNIQUE (group_number),
    CONSTRAINT ck_covered_group_named CHECK (group_number <> '' AND legal_name <> '' AND market_region <> ''),
    CONSTRAINT ck_covered_group_ein CHECK (ein ~ '^[0-9]{2}-[0-9]{7}$'),
    CONSTRAINT ck_covered_group_address CHECK (
        street <> '' AND city <> '' AND county <> '' AND state ~ '^[A-Z]{2}$' AND zip ~ '^[0-9]{5}(-[0-9]{4})?$'
    ),
    CONSTRAINT ck_covered_group_contacts CHECK (
        contract_signer_name <> '' AND contract_signer_email <> ''
        AND billing_contact_name <> '' AND billing_contact_email <> ''
    ),
    CONSTRAINT ck_covered_group_broker CHECK (
        num_nonnulls(firm_number, firm_name, acquired_date, firm_contact_name, firm_contact_email) IN (0, 5)
    ),
    CONSTRAINT ck_covered_group_dates CHECK (effective_date <= renewal_date)
);
COMMENT ON TABLE covered_group IS
    'Whoever registers locks the number first (pg_advisory_xact_lock), whoever changes locks the row; numbers before rows.';
CREATE INDEX ix_covered_group_name ON covered_group (lower(legal_name), group_id);
CREATE INDEX ix_covered_group_region_name ON covered_group (market_region, lower(legal_name), group_id);
CREATE INDEX ix_covered_group_firm_name ON covered_group (firm_number, lower(legal_name), group_id);
CREATE INDEX ix_covered_group_search ON covered_group USING gin (legal_name gin_trgm_ops, group_number gin_trgm_ops);

CREATE TABLE billing_unit (
    group_id uuid NOT NULL REFERENCES covered_group,
    code text NOT NULL CHECK (code <> ''),
    name text NOT NULL CHECK (name <> ''),
    PRIMARY KEY (group_id, code)
);

CREATE TABLE group_plan (
    group_id uuid NOT NULL REFERENCES covered_group,
    plan_year int NOT NULL,
    plan_id text NOT NULL CHECK (plan_id <> ''),
    PRIMARY KEY (group_id, plan_year, plan_id)
);

CREATE TABLE group_import (
    id uuid PRIMARY KEY,
    columns text[] NOT NULL,
    correlation_id text NOT NULL,
    status text NOT NULL,
    rows_total int NOT NULL,
    registered int NOT NULL,
    changed int NOT NULL,
    unchanged int NOT NULL,
    refused int NOT NULL,
    received_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT ck_group_import_status CHECK (status IN ('waiting', 'running', 'done')),
    CONSTRAINT ck_group_import_started CHECK ((status = 'waiting') = (started_at IS NULL)),
    CONSTRAINT ck_group_import_ended CHECK ((status = 'done') = (ended_at IS NOT NULL)),
    CONSTRAINT ck_group_import_rows CHECK (
        registered >= 0 AND changed >= 0 AND unchanged >= 0 AND refused >= 0
        AND registered + changed + unchanged + refused <= rows_total
        AND (status <> 'done' OR registered + changed + unchanged + refused = rows_total)
    )
);
CREATE INDEX ix_group_import_left ON group_import (id) WHERE status <> 'done';

CREATE TABLE import_chunk (
    import_id uuid NOT NULL REFERENCES group_import,
    first_line int NOT NULL,
    rows int NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (import_id, first_line)
);
ALTER TABLE import_chunk ALTER COLUMN content SET STORAGE EXTERNAL;
COMMENT ON TABLE import_chunk IS 'Rows that wait to be worked. They hold personal data, and are deleted when it is done.';

CREATE TABLE imported_number (
    import_id uuid NOT NULL REFERENCES group_import,
    group_number text NOT NULL,
    line int NOT NULL,
    PRIMARY KEY (import_id, group_number)
);
COMMENT ON TABLE imported_number IS 'Which line of a file had a number first; deleted when the file is done.';

CREATE TABLE import_fault (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    import_id uuid NOT NULL REFERENCES group_import,
    line int NOT NULL,
    column_name text NOT NULL,
    message text NOT NULL
);
COMMENT ON TABLE import_fault IS 'Bad rows, without their values. IDs are in the order of the file.';
CREATE INDEX ix_import_fault_import ON import_fault (import_id, id)
"""


def upgrade() -> None:
    execute_all(TABLES)
