"""Renewals follow their transactions; which one is a group's current renewal is a column of its own.

Until now a renewal was current while its outcome was to come. From now on one may be decided before its day, and another
be in review after it.

Revision ID: 0003
"""

from covey_chassis.migrate import execute_all

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE renewal ADD COLUMN current boolean;
UPDATE renewal SET current = status IN ('upcoming', 'available');
ALTER TABLE renewal
    ALTER COLUMN current SET NOT NULL,
    DROP CONSTRAINT ck_renewal_available_on,
    ADD CONSTRAINT ck_renewal_current CHECK (
        CASE WHEN current THEN status NOT IN ('rolled over', 'ended')
             ELSE status NOT IN ('upcoming', 'available', 'in progress') END
    ),
    ADD CONSTRAINT ck_renewal_available_on CHECK (
        CASE WHEN status = 'upcoming' THEN available_on IS NULL ELSE available_on IS NOT NULL OR NOT current END
    );
COMMENT ON COLUMN renewal.current IS 'Until its day has come, whatever becomes of it. A group has exactly one.';
DROP INDEX uq_renewal_open;
DROP INDEX ix_renewal_open;
CREATE UNIQUE INDEX uq_renewal_current ON renewal (group_id) WHERE current;
CREATE INDEX ix_renewal_current ON renewal (effective_date, id) INCLUDE (status) WHERE current;

CREATE TABLE transaction_copy (
    transaction_id uuid PRIMARY KEY,
    sequence bigint NOT NULL,
    renewal_id uuid NOT NULL REFERENCES renewal,
    status text NOT NULL,
    CONSTRAINT ck_transaction_copy_status CHECK (status IN (
        'open', 'pending review', 'action required', 'completed', 'declined', 'withdrawn'
    ))
);
COMMENT ON TABLE transaction_copy IS 'A copy of each transaction: whoever writes it holds its renewal''s row.';
CREATE INDEX ix_transaction_copy_renewal ON transaction_copy (renewal_id, transaction_id) INCLUDE (status)
"""


def upgrade() -> None:
    execute_all(TABLES)
