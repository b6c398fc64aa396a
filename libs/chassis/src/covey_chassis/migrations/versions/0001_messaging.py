"""Outbox, inbox, positions, parked keys, dead letters, stored answers, clock.

Revision ID: 0001
"""

from covey_chassis.migrate import execute_all

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    event_id uuid NOT NULL DEFAULT uuidv7(),
    topic text NOT NULL,
    key text NOT NULL,
    sequence bigint,
    occurred_at timestamptz NOT NULL,
    correlation_id text NOT NULL,
    causation_id text,
    traceparent text,
    payload bytea NOT NULL CHECK (octet_length(payload) <= 900000)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE outbox IS 'Events to send. A row is deleted once Kafka has it: what is here is not sent yet.';

CREATE TABLE outbox_blocked (
    key text PRIMARY KEY,
    outbox_id bigint NOT NULL,
    topic text NOT NULL,
    error text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE outbox_blocked IS 'Keys whose first waiting row Kafka refuses for good: their rows stay, all others flow.';

CREATE TABLE relay_lease (
    shard int PRIMARY KEY,
    holder uuid,
    fence bigint NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO relay_lease (shard) VALUES (0);

CREATE TABLE position (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
);

CREATE TABLE inbox (
    consumer text NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, source, event_id)
);
CREATE INDEX ix_inbox_at ON inbox USING brin (at);

CREATE TABLE parked_key (
    consumer text NOT NULL,
    key text NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead')),
    attempts int NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    error text NOT NULL,
    PRIMARY KEY (consumer, key)
);
CREATE INDEX ix_parked_key_due ON parked_key (next_at) WHERE state = 'waiting';

CREATE TABLE parked (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    consumer text NOT NULL,
    key text NOT NULL,
    event_id text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (consumer, key) REFERENCES parked_key (consumer, key)
);
CREATE INDEX ix_parked_key ON parked (consumer, key, id);

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    consumer text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    headers jsonb NOT NULL,
    payload bytea,
    error text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (consumer, topic, partition, "offset")
);
COMMENT ON COLUMN dead_letter.headers IS 'Pairs of name and base64 value, as they came.';

CREATE TABLE operator_act (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    act text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE operator_act IS 'Who retried or discarded what, and why. Append-only.';

CREATE TABLE stored_answer (
    account text NOT NULL,
    route text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    status int NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, route, idempotency_key)
);
CREATE INDEX ix_stored_answer_at ON stored_answer USING brin (at);

CREATE TABLE clock (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    offset_days int NOT NULL DEFAULT 0
);
INSERT INTO clock DEFAULT VALUES;
"""


def upgrade() -> None:
    execute_all(TABLES)
