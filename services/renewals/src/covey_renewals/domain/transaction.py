"""What renewals knows of a transaction: which renewal it is about, and how it stands."""

from uuid import UUID

from covey_chassis.db import Base, by_value
from covey_contracts.transactions import TransactionStatus
from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column


class Transaction(Base):
    """What transactions says of one, as of that transaction's event number ``sequence``."""

    __tablename__ = "transaction_copy"

    transaction_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    renewal_id: Mapped[UUID]
    status: Mapped[TransactionStatus] = mapped_column(by_value(TransactionStatus))
