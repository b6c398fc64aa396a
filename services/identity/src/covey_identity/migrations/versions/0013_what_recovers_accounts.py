"""Which addresses recover an account; and invitations alone are known by their addresses.

Revision ID: 0013
"""

from covey_chassis.migrate import execute_all

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE account_address ADD COLUMN recovers boolean NOT NULL DEFAULT false;
-- The main one, the one that was registered, and those that a mailed token has proven: of codes there was no such entry.
UPDATE account_address AS address
   SET recovers = true
  FROM account
 WHERE account.id = address.account_id
   AND (address.is_primary OR address.verified_at = account.created_at OR EXISTS (
           SELECT FROM audit_entry AS entry
            WHERE entry.act = 'address.proven' AND entry.authority = 'mailed token' AND entry.outcome = 'done'
              AND entry.account_id = account.id
              AND entry.at BETWEEN address.verified_at - interval '1 minute' AND address.verified_at + interval '1 minute'
       ));
ALTER TABLE account_address
    ALTER COLUMN recovers DROP DEFAULT,
    ADD CONSTRAINT ck_account_address_primary_recovers CHECK (recovers OR NOT is_primary);
COMMENT ON COLUMN account_address.recovers IS
    'Whoever reads its mail may get a forgotten user ID and a new password: not by an access code alone.';

-- An active grant is its account's: the address may be somebody else's by now.
DROP INDEX uq_access_grant_email;
CREATE UNIQUE INDEX uq_access_grant_email ON access_grant (group_id, email_key)
    WHERE role = 'secondary' AND status = 'invited';
"""


def upgrade() -> None:
    execute_all(TABLES)
