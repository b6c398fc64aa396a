"""Messages about access: copies of accounts, what was told of grants, and notifications that concern no renewal.

Revision ID: 0002
"""

from covey_chassis.migrate import execute_all

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE account_copy (
    account_id uuid PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence > 0),
    sealed_person text NOT NULL CHECK (sealed_person ~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]*){4}$')
);
COMMENT ON COLUMN account_copy.sealed_person IS 'A JWE, as it came: names and addresses are nowhere in the clear.';

CREATE TABLE grant_told (
    grant_id uuid PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence > 0),
    status text NOT NULL CHECK (status IN ('invited', 'active', 'removed')),
    rights text[] NOT NULL,
    billing_units text[]
);
COMMENT ON TABLE grant_told IS 'Each grant as it was at the last event that was reacted to: no source of rights.';

ALTER TABLE notification
    ADD COLUMN account_id uuid REFERENCES account_copy,
    ADD COLUMN sealed_letter text CHECK (sealed_letter ~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]*){4}$'),
    ADD COLUMN expires_at timestamptz,
    ALTER COLUMN group_id DROP NOT NULL,
    ALTER COLUMN group_number DROP NOT NULL,
    ALTER COLUMN legal_name DROP NOT NULL,
    ALTER COLUMN effective_date DROP NOT NULL,
    ALTER COLUMN plan_year DROP NOT NULL,
    ADD COLUMN holder_id uuid REFERENCES account_copy,
    ADD COLUMN role text CHECK (role IN ('primary', 'secondary')),
    ADD COLUMN rights text[],
    ADD COLUMN billing_units text[],
    DROP CONSTRAINT notification_kind_check,
    DROP CONSTRAINT notification_recipient_check,
    ADD CONSTRAINT notification_kind_check CHECK (kind IN (
        'renewal-available', 'access-code', 'verify-address', 'already-registered',
        'user-added', 'rights-changed', 'access-removed'
    )),
    ADD CONSTRAINT notification_recipient_check CHECK (
        CASE kind
            WHEN 'renewal-available' THEN recipient IN ('contract-signer', 'broker')
            WHEN 'user-added' THEN recipient = 'giver'
            WHEN 'rights-changed' THEN recipient = 'holder'
            WHEN 'access-removed' THEN recipient = 'holder'
            ELSE recipient = 'addressee'
        END
    ),
    ADD CHECK (num_nulls(group_id, group_number, legal_name) IN (0, 3)),
    ADD CHECK ((group_id IS NULL) = (kind IN ('verify-address', 'already-registered'))),
    ADD CHECK (num_nulls(effective_date, plan_year) = CASE kind WHEN 'renewal-available' THEN 0 ELSE 2 END),
    ADD CHECK (num_nulls(account_id, holder_id, rights) = CASE WHEN recipient IN ('giver', 'holder') THEN 0 ELSE 3 END),
    ADD CHECK ((role IS NOT NULL) = (recipient IN ('giver', 'holder') OR kind = 'access-code')),
    ADD CHECK (kind <> 'access-code' OR expires_at IS NOT NULL),
    ADD CHECK (sealed_letter IS NULL OR (recipient = 'addressee' AND status <> 'delivered'));
COMMENT ON COLUMN notification.account_id IS 'To whom it goes, if it goes to an account.';
COMMENT ON COLUMN notification.holder_id IS 'Whose access it tells of.';
COMMENT ON COLUMN notification.sealed_letter IS 'A JWE, as it came; null once it was delivered, or is of no use.';
"""


def upgrade() -> None:
    execute_all(TABLES)
