"""Facts of access, the lease under which they are read, and the locks of those who act.

Revision ID: 0002
"""

from alembic import op

from covey_chassis.migrate import execute_all

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE access_fact (
    kind text NOT NULL CHECK (
        kind IN ('grant', 'exclusion', 'membership', 'appointment', 'staff', 'session', 'account')
    ),
    id uuid NOT NULL,
    rev bigint NOT NULL CHECK (rev > 0),
    group_id uuid,
    account_id uuid,
    firm_id uuid,
    rights text[] NOT NULL,
    billing_units text[],
    active boolean NOT NULL,
    PRIMARY KEY (kind, id),
    CHECK ((kind IN ('grant', 'exclusion', 'appointment')) = (group_id IS NOT NULL)),
    CHECK (kind IN ('grant', 'appointment') OR account_id IS NOT NULL),
    CHECK ((kind IN ('membership', 'appointment')) <= (firm_id IS NOT NULL))
);
COMMENT ON TABLE access_fact IS 'Who may do what. Overwritten only by a higher revision; what ended stays, not active.';
CREATE INDEX ix_access_fact_rev ON access_fact (rev);
CREATE INDEX ix_access_fact_account ON access_fact (account_id, kind);
CREATE INDEX ix_access_fact_firm ON access_fact (firm_id, kind, group_id) WHERE firm_id IS NOT NULL;
CREATE INDEX ix_access_fact_group ON access_fact (group_id, kind) WHERE group_id IS NOT NULL;

CREATE TABLE access_applier (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    authority boolean NOT NULL DEFAULT false,
    holder uuid,
    holder_until timestamptz NOT NULL DEFAULT '-infinity',
    fence bigint NOT NULL DEFAULT 0,
    seen_rev bigint NOT NULL DEFAULT 0,
    seen_id uuid,
    acked_rev bigint NOT NULL DEFAULT 0,
    at_head boolean NOT NULL DEFAULT true,
    lease_until timestamptz,
    lease_server timestamptz,
    CHECK (acked_rev <= seen_rev)
);
COMMENT ON COLUMN access_applier.authority IS 'The facts are this service''s own: they need no lease.';
COMMENT ON COLUMN access_applier.at_head IS 'Nothing was left to hear then: only so far it is acknowledged.';
COMMENT ON COLUMN access_applier.lease_until IS 'Null until a lease was held for the first time.';
COMMENT ON COLUMN access_applier.lease_server IS 'The lease is void on any other server than this one.';
INSERT INTO access_applier DEFAULT VALUES;

ALTER TABLE stored_answer ADD COLUMN group_id uuid;
COMMENT ON COLUMN stored_answer.group_id IS 'Of which it tells: given again only to who holds something in it.';

CREATE VIEW access_held AS
    SELECT account_id, group_id, rights, billing_units
      FROM access_fact
     WHERE kind = 'grant' AND active AND account_id IS NOT NULL
    UNION ALL
    SELECT member.account_id, firm.group_id, firm.rights, firm.billing_units
      FROM access_fact AS member
      JOIN access_fact AS firm ON firm.firm_id = member.firm_id AND firm.kind IN ('grant', 'appointment') AND firm.active
     WHERE member.kind = 'membership' AND member.active
       AND NOT EXISTS (
           SELECT FROM access_fact AS excluded
            WHERE excluded.kind = 'exclusion' AND excluded.active
              AND excluded.account_id = member.account_id AND excluded.group_id = firm.group_id
       );
COMMENT ON VIEW access_held IS 'What a person holds in a group, alone or through a firm, whatever the lease says.';
"""

KEY = """
CREATE FUNCTION access_key(kind text, id uuid) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended(kind || ':' || id::text, 0)
"""


def upgrade() -> None:
    execute_all(TABLES)
    op.execute(KEY)
