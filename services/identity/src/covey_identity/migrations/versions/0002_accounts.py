"""Accounts, the addresses that they have proven, registrations, sessions, and attempts to guess a secret.

Revision ID: 0002
"""

from covey_chassis.migrate import execute_all

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE account (
    id uuid PRIMARY KEY,
    user_id text NOT NULL,
    kind text NOT NULL,
    first_name text NOT NULL,
    middle_initial text NOT NULL,
    last_name text NOT NULL,
    company text NOT NULL,
    market_region text NOT NULL,
    language text NOT NULL,
    program_name text,
    terms_version text,
    terms_accepted_at timestamptz,
    password_hash text,
    secret_sha256 bytea,
    locked_at timestamptz,
    created_at timestamptz NOT NULL,
    version int NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT uq_account_user_id UNIQUE (user_id),
    CONSTRAINT ck_account_user_id CHECK (user_id ~ '^[a-z][0-9]{5}$'),
    CONSTRAINT ck_account_language CHECK (language IN ('en', 'es')),
    CONSTRAINT ck_account_terms CHECK (num_nonnulls(terms_version, terms_accepted_at) IN (0, 2)),
    CONSTRAINT ck_account_kind CHECK (
        CASE kind
            WHEN 'person' THEN first_name <> '' AND last_name <> '' AND password_hash IS NOT NULL
                               AND program_name IS NULL AND secret_sha256 IS NULL
            WHEN 'program' THEN program_name <> '' AND octet_length(secret_sha256) = 32 AND password_hash IS NULL
            ELSE false
        END
    )
);
COMMENT ON COLUMN account.market_region IS 'Empty for the carrier''s own staff, and for programs.';
COMMENT ON COLUMN account.password_hash IS 'Argon2id, with its parameters.';

CREATE TABLE account_address (
    email_key text PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    email text NOT NULL,
    verified_at timestamptz NOT NULL,
    is_primary boolean NOT NULL
);
COMMENT ON TABLE account_address IS
    'Whoever gives an address to an account locks its key first (pg_advisory_xact_lock), after the ledger.';
COMMENT ON COLUMN account_address.email_key IS 'The address in a form in which upper and lower case are the same.';
CREATE INDEX ix_account_address_account ON account_address (account_id);
CREATE UNIQUE INDEX uq_account_address_primary ON account_address (account_id) WHERE is_primary;

CREATE TABLE registration (
    token_sha256 bytea PRIMARY KEY,
    email_key text NOT NULL,
    email text NOT NULL,
    first_name text NOT NULL,
    middle_initial text NOT NULL,
    last_name text NOT NULL,
    company text NOT NULL,
    market_region text NOT NULL,
    language text NOT NULL,
    terms_version text NOT NULL,
    terms_accepted_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE registration IS
    'Several may wait for one address, whether or not it has an account: all are deleted when one of them is verified, and '
    'those that come to nothing when they expire.';
CREATE INDEX ix_registration_email_key ON registration (email_key);
CREATE INDEX ix_registration_expires_at ON registration (expires_at);

CREATE TABLE account_session (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    token_sha256 bytea,
    started_at timestamptz NOT NULL,
    used_at timestamptz NOT NULL,
    expires_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT uq_account_session_token UNIQUE (token_sha256),
    CONSTRAINT ck_account_session_standing CHECK ((token_sha256 IS NULL) = (expires_at IS NULL))
);
COMMENT ON COLUMN account_session.expires_at IS 'Null for the standing session of a program, which has no token either.';
CREATE INDEX ix_account_session_account ON account_session (account_id, id);
CREATE INDEX ix_account_session_over ON account_session ((coalesce(ended_at, expires_at)));
CREATE UNIQUE INDEX uq_account_session_standing ON account_session (account_id)
    WHERE expires_at IS NULL AND ended_at IS NULL;

CREATE TABLE attempt (
    purpose text NOT NULL,
    subject bytea NOT NULL,
    failures int NOT NULL,
    next_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (purpose, subject)
);
COMMENT ON TABLE attempt IS
    'Counted before the secret is looked at, in a transaction of its own; cleared by a success. Registrations are counted '
    'by their address, and never cleared: the pauses must be the same whether or not it has an account.';
COMMENT ON COLUMN attempt.subject IS
    'SHA-256 of whose secret it is, or of the address: the names that were tried are not kept.';
CREATE INDEX ix_attempt_last_at ON attempt (last_at);
"""


def upgrade() -> None:
    execute_all(TABLES)
