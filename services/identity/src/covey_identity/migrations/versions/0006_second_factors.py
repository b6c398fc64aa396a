"""Second factors: apps, recovery codes, and people who have shown the first factor alone.

Revision ID: 0006
"""

from covey_chassis.migrate import execute_all

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE second_factor (
    account_id uuid PRIMARY KEY REFERENCES account,
    sealed_secret text NOT NULL CHECK (sealed_secret ~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]*){4}$'),
    begun_at timestamptz NOT NULL,
    on_since timestamptz,
    last_step bigint
);
COMMENT ON COLUMN second_factor.sealed_secret IS 'A JWE that identity alone can open.';
COMMENT ON COLUMN second_factor.on_since IS 'Null until its holder has shown that the app works.';
COMMENT ON COLUMN second_factor.last_step IS 'The half minute whose digits were used last: earlier ones are not good.';

CREATE TABLE recovery_code (
    code_sha256 bytea PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    used_at timestamptz
);
CREATE INDEX ix_recovery_code_account ON recovery_code (account_id);

CREATE TABLE sign_on_challenge (
    token_sha256 bytea PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE sign_on_challenge IS 'Somebody has shown their password, and not their second factor yet.';
CREATE INDEX ix_sign_on_challenge_account ON sign_on_challenge (account_id);
CREATE INDEX ix_sign_on_challenge_expires_at ON sign_on_challenge (expires_at);
"""


def upgrade() -> None:
    execute_all(TABLES)
