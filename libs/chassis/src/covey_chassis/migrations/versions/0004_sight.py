"""What a request was checked for, as policies of row-level security read it (``covey_chassis.guarding``).

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for of in ("group", "account"):
        op.execute(
            f"CREATE FUNCTION sight_{of}() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE "
            f"RETURN CAST(nullif(current_setting('covey.{of}', true), '') AS uuid)"
        )
