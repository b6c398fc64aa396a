"""Which addresses recover an account; invitations alone are known by their addresses; group numbers as officers write them.

Revision ID: 0012
"""

from covey_chassis.migrate import execute_all

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE account_address ADD COLUMN recovers boolean;
-- Of others it is not known whether a code has proven them: their holders choose them once, by their password.
UPDATE account_address SET recovers = is_primary;
ALTER TABLE account_address
    ALTER COLUMN recovers SET NOT NULL,
    ADD CONSTRAINT ck_account_address_primary_recovers CHECK (recovers OR NOT is_primary);
COMMENT ON COLUMN account_address.recovers IS
    'Whoever reads its mail may get a forgotten user ID and a new password: not by an access code alone.';

-- An active grant is its account's: the address may be somebody else's by now.
DROP INDEX uq_access_grant_email;
CREATE UNIQUE INDEX uq_access_grant_email ON access_grant (group_id, email_key)
    WHERE role = 'secondary' AND status = 'invited';

-- Officers write a group's number in whatever case.
CREATE INDEX ix_group_copy_number_lower ON group_copy (lower(group_number));
DROP INDEX ix_access_request_group;
CREATE INDEX ix_access_request_group ON access_request (lower(group_number)) WHERE status = 'submitted';

-- When accounts were locked is asked about who could see a group.
CREATE INDEX ix_access_log_account ON access_log (((fact ->> 'account_id')::uuid), rev) WHERE fact ->> 'kind' = 'account';
"""


def upgrade() -> None:
    execute_all(TABLES)
