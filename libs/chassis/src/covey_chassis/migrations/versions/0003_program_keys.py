"""Facts of access may be of programs' keys.

Revision ID: 0003
"""

from covey_chassis.migrate import execute_all

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KINDS = """
ALTER TABLE access_fact DROP CONSTRAINT access_fact_kind_check;
ALTER TABLE access_fact ADD CONSTRAINT access_fact_kind_check CHECK (
    kind IN ('grant', 'exclusion', 'membership', 'appointment', 'staff', 'session', 'account', 'key')
);
"""


def upgrade() -> None:
    execute_all(KINDS)
