"""Invitations are found by the address that they went to.

Revision ID: 0009
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX ix_access_grant_invited ON access_grant (email_key) WHERE status = 'invited'")
