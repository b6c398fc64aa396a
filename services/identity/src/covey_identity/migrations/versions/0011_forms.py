"""Forms of access requests are seen whole by whoever has their reference.

Revision ID: 0011
"""

from covey_chassis.migrate import execute_all

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

POLICY = """
CREATE POLICY forms ON access_request USING (true);
COMMENT ON POLICY forms ON access_request IS
    'Beside those of the chassis: an officer without an account sends a form, and reads it by its reference.';
"""


def upgrade() -> None:
    execute_all(POLICY)
