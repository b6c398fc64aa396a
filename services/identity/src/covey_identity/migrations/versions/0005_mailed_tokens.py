"""Tokens that were mailed: to choose a new password with, or to prove another address.

Revision ID: 0005
"""

from covey_chassis.migrate import execute_all

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE mailed_token (
    token_sha256 bytea PRIMARY KEY,
    use text NOT NULL CHECK (use IN ('reset-password', 'add-address')),
    email_key text NOT NULL,
    email text NOT NULL,
    account_id uuid,
    expires_at timestamptz NOT NULL,
    CONSTRAINT ck_mailed_token_account CHECK (use = 'reset-password' OR account_id IS NOT NULL)
);
COMMENT ON TABLE mailed_token IS
    'Deleted when one is used, with all others of that account for that use; and when they expire.';
COMMENT ON COLUMN mailed_token.account_id IS
    'Null when a new password was asked for an address that nobody has: then no token was sent. No foreign key: its '
    'check would tell by its time whether there is an account.';
CREATE INDEX ix_mailed_token_account ON mailed_token (account_id);
CREATE INDEX ix_mailed_token_expires_at ON mailed_token (expires_at);
"""


def upgrade() -> None:
    execute_all(TABLES)
