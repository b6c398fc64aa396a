"""Firms and appointments, as identity tells of them: the book's own word for its firms goes.

What was in the columns that go is a copy of the carrier's file; who serves which group comes from identity's events, read
from the beginning.

Revision ID: 0002
"""

from covey_chassis.migrate import execute_all

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE firm (
    firm_id uuid PRIMARY KEY,
    sequence bigint NOT NULL,
    firm_number text NOT NULL,
    firm_name text NOT NULL
);
COMMENT ON TABLE firm IS 'A copy of each firm. Numbers are unique where they are given, not on the way here.';
CREATE INDEX ix_firm_number ON firm (firm_number);

CREATE TABLE appointment (
    appointment_id uuid PRIMARY KEY,
    sequence bigint NOT NULL,
    group_id uuid NOT NULL,
    firm_id uuid NOT NULL,
    starts_on date NOT NULL,
    ends_on date,
    acquired_on date NOT NULL
);
COMMENT ON TABLE appointment IS 'A copy of each appointment. Its group and firm may be heard of later: no foreign keys.';
CREATE INDEX ix_appointment_group ON appointment (group_id, starts_on, appointment_id)
    INCLUDE (firm_id, ends_on, acquired_on);
CREATE INDEX ix_appointment_firm ON appointment (firm_id, group_id);

ALTER TABLE book DROP CONSTRAINT ck_book_firm;
DROP INDEX ix_book_firm_name;
ALTER TABLE book DROP COLUMN firm_number, DROP COLUMN firm_name, DROP COLUMN acquired_date
"""


def upgrade() -> None:
    execute_all(TABLES)
