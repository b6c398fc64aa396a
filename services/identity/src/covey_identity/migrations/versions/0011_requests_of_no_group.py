"""Forms of access requests that are of no group yet are seen by requests.

Revision ID: 0011
"""

from covey_chassis.migrate import execute_all

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

POLICY = """
CREATE POLICY of_no_group ON access_request USING (group_id IS NULL);
COMMENT ON POLICY of_no_group ON access_request IS
    'Beside those of the chassis: an officer without an account sends a form, and it is of a group once it is approved.';
"""


def upgrade() -> None:
    execute_all(POLICY)
