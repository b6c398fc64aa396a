"""What a request was checked for, as policies of row-level security read it (``covey_chassis.guarding``).

The policies depend on these functions and on the columns that they compare: a later version that replaces one of them
drops the policies ``in_sight`` that use it first. They are made again before and after each of the service's versions.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

GROUPS = """
CREATE FUNCTION sight_groups() RETURNS SETOF uuid LANGUAGE plpgsql STABLE ROWS 100 AS $$
BEGIN
    RETURN QUERY SELECT held.group_id FROM access_held AS held WHERE held.account_id = sight_account();
END
$$
"""
"""A function, not its query in each policy: whoever looks at one group plans and starts none of it."""


def upgrade() -> None:
    for of in ("group", "account"):
        op.execute(
            f"CREATE FUNCTION sight_{of}() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE "
            f"RETURN CAST(nullif(current_setting('covey.{of}', true), '') AS uuid)"
        )
    op.execute(GROUPS)
