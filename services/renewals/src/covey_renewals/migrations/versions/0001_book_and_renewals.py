"""The book of business and its renewals.

Revision ID: 0001
"""

from covey_chassis.migrate import execute_all

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE book (
    group_id uuid PRIMARY KEY,
    sequence bigint NOT NULL,
    group_number text NOT NULL,
    legal_name text NOT NULL,
    renewal_date date NOT NULL,
    firm_number text,
    firm_name text,
    acquired_date date,
    CONSTRAINT ck_book_firm CHECK (num_nonnulls(firm_number, firm_name, acquired_date) IN (0, 3))
);
COMMENT ON TABLE book IS 'A copy of each group. Row locks: a group''s row here first, then its renewals.';
CREATE INDEX ix_book_name ON book (lower(legal_name), group_id);
CREATE INDEX ix_book_firm_name ON book (firm_number, lower(legal_name), group_id);
CREATE INDEX ix_book_search ON book USING gin (legal_name gin_trgm_ops, group_number gin_trgm_ops);

CREATE TABLE renewal (
    id uuid PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES book,
    plan_year int NOT NULL,
    effective_date date NOT NULL,
    status text NOT NULL,
    available_on date,
    version int NOT NULL,
    sequence bigint NOT NULL,
    CONSTRAINT uq_renewal_group_id_plan_year UNIQUE (group_id, plan_year),
    CONSTRAINT ck_renewal_status CHECK (status IN (
        'upcoming', 'available', 'in progress', 'pending review', 'action required', 'completed', 'rolled over', 'ended'
    )),
    CONSTRAINT ck_renewal_available_on CHECK (
        CASE WHEN status = 'upcoming' THEN available_on IS NULL
             WHEN status IN ('rolled over', 'ended') THEN true
             ELSE available_on IS NOT NULL END
    )
);
COMMENT ON COLUMN renewal.available_on IS 'Set once. Null in what passed or ended without ever having been available.';
CREATE UNIQUE INDEX uq_renewal_open ON renewal (group_id)
    WHERE status IN ('upcoming', 'available', 'in progress', 'pending review', 'action required');
CREATE INDEX ix_renewal_open ON renewal (effective_date, id) INCLUDE (status)
    WHERE status IN ('upcoming', 'available', 'in progress', 'pending review', 'action required');
CREATE INDEX ix_renewal_upcoming ON renewal (effective_date)
    WHERE status = 'upcoming'
"""


def upgrade() -> None:
    execute_all(TABLES)
