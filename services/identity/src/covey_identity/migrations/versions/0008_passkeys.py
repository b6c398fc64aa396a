"""Passkeys, and what was signed with them already.

Revision ID: 0008
"""

from covey_chassis.migrate import execute_all

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE account ADD COLUMN passkey_handle bytea UNIQUE CHECK (octet_length(passkey_handle) = 64);
COMMENT ON COLUMN account.passkey_handle IS 'What authenticators know it by: random. Null until a passkey is asked for.';

CREATE TABLE passkey (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 60),
    credential_id bytea NOT NULL UNIQUE CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL CHECK (sign_count >= 0),
    transports text[] NOT NULL,
    backup_eligible boolean NOT NULL,
    backed_up boolean NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz
);
COMMENT ON COLUMN passkey.public_key IS 'A COSE key (RFC 9052), as the authenticator gave it.';
CREATE INDEX ix_passkey_account ON passkey (account_id);

CREATE TABLE passkey_challenge_used (
    challenge_sha256 bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE passkey_challenge_used IS
    'Challenges that were signed: none is good twice. Only whoever has a passkey, or may add one, writes here.';
CREATE INDEX ix_passkey_challenge_used_expires_at ON passkey_challenge_used (expires_at);
"""


def upgrade() -> None:
    execute_all(TABLES)
