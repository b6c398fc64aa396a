"""Saved searches.

Revision ID: 0003
"""

from covey_chassis.migrate import execute_all

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE saved_search (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 60),
    search jsonb NOT NULL,
    is_default boolean NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (account_id, name)
);
COMMENT ON TABLE saved_search IS 'Of nobody but the account. It holds what is looked for, and nothing that was found.';
CREATE UNIQUE INDEX uq_saved_search_default ON saved_search (account_id) WHERE is_default;
"""


def upgrade() -> None:
    execute_all(TABLES)
