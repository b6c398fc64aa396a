"""Transactions say in which database transaction they were changed last, so that they can be followed live.

Revision ID: 0002
"""

from covey_chassis.migrate import execute_all

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FOLLOWED = """
ALTER TABLE transaction ADD COLUMN changed_in xid8 NOT NULL DEFAULT '0';
COMMENT ON COLUMN transaction.changed_in IS 'Noted by a trigger, whoever changes the row. What was there before has 0.';
CREATE INDEX ix_transaction_changed_in ON transaction (changed_in);

CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.changed_in := pg_current_xact_id(); RETURN NEW; END';
CREATE TRIGGER note_change BEFORE INSERT OR UPDATE ON transaction FOR EACH ROW EXECUTE FUNCTION note_change();
"""


def upgrade() -> None:
    execute_all(FOLLOWED)
