"""Groups are found by numbers as officers write them, who was locked out by account, and who approved what.

Revision ID: 0012
"""

from covey_chassis.migrate import execute_all

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEXES = """
CREATE INDEX ix_group_copy_number_lower ON group_copy (lower(group_number));
DROP INDEX ix_access_request_group;
CREATE INDEX ix_access_request_group ON access_request (lower(group_number)) WHERE status = 'submitted';
CREATE INDEX ix_access_request_approved ON access_request (group_id, email_key) WHERE status = 'approved';
CREATE INDEX ix_access_log_account ON access_log (((fact ->> 'account_id')::uuid), rev) WHERE fact ->> 'kind' = 'account';
"""


def upgrade() -> None:
    execute_all(INDEXES)
