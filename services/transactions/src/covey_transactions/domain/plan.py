"""Plans, as far as groups tell of them: the carrier's own catalogue comes later."""

from uuid import UUID

from covey_chassis.db import Base
from sqlalchemy.orm import Mapped, mapped_column


class GroupPlan(Base):
    """A plan that a group offers in one plan year, by its last event."""

    __tablename__ = "group_plan"

    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    plan_year: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[str] = mapped_column(primary_key=True)


class KnownPlan(Base):
    """A plan that some group of the market region has, or had, in that plan year: the carrier offers it there."""

    __tablename__ = "known_plan"

    market_region: Mapped[str] = mapped_column(primary_key=True)
    plan_year: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[str] = mapped_column(primary_key=True)
