"""The audit: entries, the chain that they stand in, and how far it was anchored. None of them can be changed.

Revision ID: 0007
"""

from alembic import op
from covey_chassis.migrate import execute_all

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE audit_entry (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    act text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('done', 'refused')),
    authority text NOT NULL,
    account_id uuid,
    session_id uuid,
    subjects uuid[] NOT NULL,
    groups uuid[] NOT NULL,
    first_rev bigint,
    last_rev bigint,
    details jsonb NOT NULL,
    origin text,
    correlation_id text,
    trace_id text,
    CHECK ((first_rev IS NULL) = (last_rev IS NULL)),
    CHECK (first_rev <= last_rev)
);
COMMENT ON COLUMN audit_entry.subjects IS 'Whose accounts it is about. No foreign keys: what was audited stays.';
COMMENT ON COLUMN audit_entry.first_rev IS 'What it changed is in access_log, from this revision to last_rev.';
CREATE INDEX ix_audit_entry_groups ON audit_entry USING gin (groups);
CREATE INDEX ix_audit_entry_account ON audit_entry (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX ix_audit_entry_subjects ON audit_entry USING gin (subjects);
CREATE INDEX ix_audit_entry_first_rev ON audit_entry (first_rev) WHERE first_rev IS NOT NULL;

CREATE TABLE audit_waiting (
    entry_id uuid PRIMARY KEY REFERENCES audit_entry
);
COMMENT ON TABLE audit_waiting IS 'Entries that are not in the chain yet: whoever writes one need not wait for another.';

CREATE TABLE audit_link (
    number bigint PRIMARY KEY CHECK (number > 0),
    entry_id uuid NOT NULL UNIQUE REFERENCES audit_entry,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
COMMENT ON TABLE audit_link IS 'Numbered without a gap; each hash is over the one before, the entry, and what it changed.';

CREATE TABLE audit_anchor (
    number bigint PRIMARY KEY REFERENCES audit_link,
    anchored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE audit_anchor IS 'Up to these numbers the chain was told to the world: covey.audit.anchored.v1.';

CREATE INDEX ix_access_log_group ON access_log (((fact ->> 'group_id')::uuid), rev) WHERE fact ->> 'group_id' IS NOT NULL;
CREATE INDEX ix_access_log_firm ON access_log (((fact ->> 'firm_id')::uuid), rev) WHERE fact ->> 'firm_id' IS NOT NULL;

WITH entry AS (
    INSERT INTO audit_entry (id, act, outcome, authority, subjects, groups, first_rev, last_rev, details)
    SELECT uuidv7(), 'audit.begun', 'done', 'migration', '{}', '{}', min(rev), max(rev), '{}'
      FROM access_log
     GROUP BY rev / 1000
    RETURNING id
)
INSERT INTO audit_waiting (entry_id) SELECT id FROM entry;
"""

FOR_GOOD = """
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT DISTINCT grantee, table_name FROM information_schema.role_table_grants
         WHERE table_name IN ('audit_entry', 'audit_link', 'audit_anchor', 'access_log') AND grantee <> current_user
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM %I', held.table_name, held.grantee);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    execute_all(TABLES)
    op.execute(FOR_GOOD)
