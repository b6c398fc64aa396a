"""Messages about transactions: to accounts that may never be known here, and with letters for more than an addressee.

Revision ID: 0003
"""

from covey_chassis.migrate import execute_all

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE notification
    ADD COLUMN transaction_id uuid,
    ADD COLUMN round int CHECK (round >= 0),
    ADD COLUMN plans_by_class text[],
    ADD COLUMN enrollments int CHECK (enrollments >= 0),
    ADD COLUMN terminations int CHECK (terminations >= 0),
    DROP CONSTRAINT notification_account_id_fkey,
    DROP CONSTRAINT notification_kind_check,
    DROP CONSTRAINT notification_recipient_check,
    DROP CONSTRAINT notification_check5,
    DROP CONSTRAINT notification_check6,
    DROP CONSTRAINT notification_check9,
    ADD CONSTRAINT notification_kind_check CHECK (kind IN (
        'renewal-available', 'access-code', 'verify-address', 'already-registered',
        'user-added', 'rights-changed', 'access-removed',
        'submission-received', 'action-required', 'transaction-assigned',
        'transaction-approved', 'transaction-declined', 'transaction-withdrawn'
    )),
    ADD CONSTRAINT notification_recipient_check CHECK (
        CASE kind
            WHEN 'renewal-available' THEN recipient IN ('contract-signer', 'broker')
            WHEN 'user-added' THEN recipient = 'giver'
            WHEN 'rights-changed' THEN recipient = 'holder'
            WHEN 'access-removed' THEN recipient = 'holder'
            WHEN 'submission-received' THEN recipient = 'submitter'
            WHEN 'action-required' THEN recipient = 'owner'
            WHEN 'transaction-assigned' THEN recipient = 'representative'
            WHEN 'transaction-approved' THEN recipient IN ('owner', 'contract-signer')
            WHEN 'transaction-declined' THEN recipient = 'owner'
            WHEN 'transaction-withdrawn' THEN recipient = 'owner'
            ELSE recipient = 'addressee'
        END
    ),
    ADD CONSTRAINT notification_is_about_a_transaction CHECK (
        num_nulls(transaction_id, round, plans_by_class, enrollments, terminations) = CASE
            WHEN kind IN (
                'submission-received', 'action-required', 'transaction-assigned',
                'transaction-approved', 'transaction-declined', 'transaction-withdrawn'
            ) THEN 0
            ELSE 5
        END
    ),
    ADD CONSTRAINT notification_is_about_a_plan_year CHECK (
        num_nulls(effective_date, plan_year)
            = CASE WHEN kind = 'renewal-available' OR transaction_id IS NOT NULL THEN 0 ELSE 2 END
    ),
    ADD CONSTRAINT notification_goes_to_an_account CHECK (
        (account_id IS NOT NULL) = (recipient IN ('giver', 'holder', 'owner', 'submitter'))
    ),
    ADD CONSTRAINT notification_tells_of_a_grant CHECK (
        num_nulls(holder_id, rights) = CASE WHEN recipient IN ('giver', 'holder') THEN 0 ELSE 2 END
    ),
    ADD CONSTRAINT notification_has_a_letter CHECK (
        sealed_letter IS NULL
        OR status <> 'delivered'
            AND (recipient IN ('addressee', 'representative') OR kind IN ('action-required', 'transaction-declined'))
    );
COMMENT ON COLUMN notification.account_id IS
    'To whom it goes, if it goes to an account. No foreign key: a program''s account is never known here.';
"""


def upgrade() -> None:
    execute_all(TABLES)
