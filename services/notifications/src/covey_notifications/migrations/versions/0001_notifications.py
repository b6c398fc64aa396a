"""Copies of groups, and notifications.

Revision ID: 0001
"""

from covey_chassis.migrate import execute_all

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE group_copy (
    group_id uuid PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence > 0),
    group_number text NOT NULL,
    legal_name text NOT NULL,
    has_broker boolean NOT NULL,
    sealed_contacts text NOT NULL CHECK (sealed_contacts ~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]*){4}$')
);
COMMENT ON COLUMN group_copy.sealed_contacts IS 'A JWE, as it came: names and addresses are nowhere in the clear.';

CREATE TABLE notification (
    id uuid PRIMARY KEY,
    version int NOT NULL,
    sequence int NOT NULL CHECK (sequence >= 0),
    kind text NOT NULL CHECK (kind IN ('renewal-available')),
    about_event_id text NOT NULL,
    correlation_id text NOT NULL,
    recipient text NOT NULL CHECK (recipient IN ('contract-signer', 'broker')),
    group_id uuid NOT NULL REFERENCES group_copy,
    group_number text NOT NULL,
    legal_name text NOT NULL,
    effective_date date NOT NULL,
    plan_year int NOT NULL,
    message_id text NOT NULL UNIQUE CHECK (message_id ~ '^<[a-z0-9-]+[.][0-9a-f]{32}@mail[.]covey>$'),
    status text NOT NULL CHECK (status IN ('waiting', 'delivered', 'failed')),
    attempts int NOT NULL CHECK (attempts >= 0),
    next_at timestamptz,
    reason text CHECK (reason ~ '^[a-z0-9.-]{1,40}$'),
    created_at timestamptz NOT NULL,
    since timestamptz NOT NULL,
    UNIQUE (about_event_id, recipient),
    CHECK ((status = 'waiting') = (next_at IS NOT NULL)),
    CHECK (status <> 'failed' OR reason IS NOT NULL),
    CHECK (status <> 'delivered' OR reason IS NULL)
);
COMMENT ON COLUMN notification.reason IS 'A code. A mail server''s own words may quote an address: they are not kept.';
CREATE INDEX ix_notification_due ON notification (next_at, id) WHERE status = 'waiting';
CREATE INDEX ix_notification_new_first ON notification ((attempts > 0), next_at, id) WHERE status = 'waiting';
CREATE INDEX ix_notification_since ON notification (since) WHERE status = 'waiting';
CREATE INDEX ix_notification_group ON notification (group_id, id);
CREATE INDEX ix_notification_failed ON notification (id) WHERE status = 'failed';
"""


def upgrade() -> None:
    execute_all(TABLES)
