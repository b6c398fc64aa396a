"""Which approved transactions have been taken, so that each is taken once, ever.

Revision ID: 0002
"""

from covey_chassis.migrate import execute_all

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE taken_approval (
    transaction_id uuid PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES covered_group
);
COMMENT ON TABLE taken_approval IS 'Never forgotten: topics are read again long after the inbox has forgotten what it took.'
"""


def upgrade() -> None:
    execute_all(TABLES)
