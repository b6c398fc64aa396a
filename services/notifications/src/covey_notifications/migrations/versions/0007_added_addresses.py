"""Mails about addresses that came to an account with an access code.

Revision ID: 0007
"""

from covey_chassis.migrate import execute_all

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE notification
    DROP CONSTRAINT notification_kind_check,
    DROP CONSTRAINT notification_is_about_a_group,
    ADD CONSTRAINT notification_kind_check CHECK (kind IN (
        'renewal-available', 'access-code', 'verify-address', 'already-registered',
        'forgotten-user-id', 'reset-password', 'no-account', 'verify-new-address', 'password-changed', 'address-changed',
        'second-factor-on', 'second-factor-off', 'recovery-code-used', 'recovery-codes-renewed', 'address-removed',
        'address-added', 'passkey-added', 'passkey-removed',
        'user-added', 'rights-changed', 'access-removed',
        'submission-received', 'action-required', 'transaction-assigned',
        'transaction-approved', 'transaction-declined', 'transaction-withdrawn'
    )),
    ADD CONSTRAINT notification_is_about_a_group CHECK ((group_id IS NULL) = (kind IN (
        'verify-address', 'already-registered',
        'forgotten-user-id', 'reset-password', 'no-account', 'verify-new-address', 'password-changed', 'address-changed',
        'second-factor-on', 'second-factor-off', 'recovery-code-used', 'recovery-codes-renewed', 'address-removed',
        'address-added', 'passkey-added', 'passkey-removed'
    )));
"""


def upgrade() -> None:
    execute_all(TABLES)
