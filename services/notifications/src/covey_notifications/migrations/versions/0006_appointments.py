"""Copies of appointments: a broker whom the group has replaced, or dismissed, is written to no longer.

Revision ID: 0006
"""

from covey_chassis.migrate import execute_all

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE appointment_copy (
    appointment_id uuid PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence > 0),
    group_id uuid NOT NULL,
    ends_on date,
    in_book boolean NOT NULL,
    firm_number text
);
COMMENT ON TABLE appointment_copy IS
    'Its group may be heard of later: no foreign key. IDs are in the order in which a group''s appointments began.';
CREATE INDEX ix_appointment_copy_group ON appointment_copy (group_id, appointment_id);

ALTER TABLE group_copy ADD COLUMN broker_firm_number text;
COMMENT ON COLUMN group_copy.broker_firm_number IS 'Null, too, in what was kept before it was.';
"""


def upgrade() -> None:
    execute_all(TABLES)
