"""Groups appoint their brokers themselves: what the carrier's book says, and what is so, are told apart.

Until now an appointment was always the book's word: so the broker that lasts is the one that the book named last.

Revision ID: 0010
"""

from covey_chassis.migrate import execute_all

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE appointment ADD COLUMN in_book boolean NOT NULL DEFAULT true;
ALTER TABLE appointment ALTER COLUMN in_book DROP DEFAULT;
COMMENT ON COLUMN appointment.in_book IS 'Else the group has appointed the firm, and the book does not name it yet.';
ALTER TABLE group_copy
    ADD COLUMN book_firm_number text,
    ADD COLUMN book_acquired_on date,
    ADD CONSTRAINT ck_group_copy_book CHECK (num_nulls(book_firm_number, book_acquired_on) IN (0, 2));
COMMENT ON COLUMN group_copy.book_firm_number IS
    'The broker that the carrier''s book named when it was last followed: written by whoever holds the ledger.';
UPDATE group_copy
   SET book_firm_number = firm.firm_number, book_acquired_on = appointment.acquired_on
  FROM appointment JOIN firm ON firm.id = appointment.firm_id
 WHERE appointment.group_id = group_copy.group_id AND appointment.ends_on IS NULL
"""


def upgrade() -> None:
    execute_all(TABLES)
