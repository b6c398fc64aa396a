"""A person who sees nothing of a group although their firm does."""

from uuid import UUID

from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.db import Base
from covey_chassis.ids import new_id
from sqlalchemy.orm import Mapped, mapped_column


class Exclusion(Base, kw_only=True):
    """While active, what the person's firms hold in the group is not the person's."""

    __tablename__ = "exclusion"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    group_id: Mapped[UUID]
    account_id: Mapped[UUID]
    active: Mapped[bool]

    def fact(self) -> Fact:
        return Fact(
            kind=FactKind.EXCLUSION, id=self.id, group_id=self.group_id, account_id=self.account_id, active=self.active
        )
