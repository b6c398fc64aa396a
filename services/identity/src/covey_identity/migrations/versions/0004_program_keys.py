"""Public keys with which programs sign commands.

Revision ID: 0004
"""

from covey_chassis.migrate import execute_all

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE program_key (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    public_jwk jsonb NOT NULL,
    added_at timestamptz NOT NULL,
    removed_at timestamptz,
    CONSTRAINT ck_program_key_public CHECK (
        public_jwk ?& ARRAY['kty', 'crv', 'x'] AND public_jwk - ARRAY['kty', 'crv', 'x'] = '{}'
    )
);
COMMENT ON TABLE program_key IS 'Removed keys stay: none is ever registered again.';
COMMENT ON COLUMN program_key.id IS 'Made of the key''s thumbprint (RFC 7638): no two programs have the same key.';
CREATE INDEX ix_program_key_account ON program_key (account_id, id);
"""


def upgrade() -> None:
    execute_all(TABLES)
