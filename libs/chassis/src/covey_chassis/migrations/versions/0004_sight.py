"""What a request was checked for, as policies of row-level security read it (``covey_chassis.guarding``).

The policies depend on these functions, on ``access_held`` and on the columns that they compare: a later version that
replaces one of them drops the policies ``in_sight`` that use it first. They are made again after each version.

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
