"""The order of all changes of access, their log, and the services that listen to them.

Revision ID: 0001
"""

from covey_chassis.migrate import execute_all

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE access_ledger (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    rev bigint NOT NULL DEFAULT 0,
    id uuid
);
COMMENT ON TABLE access_ledger IS 'Locked first by whoever changes a fact: revisions are in the order of decisions.';
INSERT INTO access_ledger DEFAULT VALUES;

CREATE TABLE access_log (
    rev bigint PRIMARY KEY,
    id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    act text NOT NULL,
    authority text NOT NULL,
    account_id uuid,
    session_id uuid,
    correlation_id text,
    fact jsonb NOT NULL
);
COMMENT ON TABLE access_log IS 'Every change of a fact, append-only. The random ID tells revisions of two histories apart.';

CREATE TABLE listener (
    name text PRIMARY KEY,
    seen_rev bigint NOT NULL,
    acked_rev bigint NOT NULL,
    server text NOT NULL,
    counts_from timestamptz NOT NULL,
    polled_at timestamptz NOT NULL,
    retired_at timestamptz
);
COMMENT ON COLUMN listener.counts_from IS 'Acknowledgements before this moment are another server''s: they do not count.';

CREATE TABLE listener_server (
    name text NOT NULL REFERENCES listener,
    server text NOT NULL,
    PRIMARY KEY (name, server)
);
COMMENT ON TABLE listener_server IS 'Servers that a listener had: a poll from one that it has left is refused.';

UPDATE access_applier SET authority = true;
"""


def upgrade() -> None:
    execute_all(TABLES)
