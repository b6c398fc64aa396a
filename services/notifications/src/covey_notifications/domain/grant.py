"""What was told of a grant last, and so what is new about it: an event says only how a grant is after its change."""

from uuid import UUID

from covey_chassis.db import Base, by_value
from covey_contracts.identity import AccessChanged, GrantStatus
from sqlalchemy import ARRAY, Text
from sqlalchemy.orm import Mapped, mapped_column

from covey_notifications.domain.notification import Kind


class GrantTold(Base, kw_only=True):
    """A grant as it was at the last event that was reacted to; written by the reactions alone."""

    __tablename__ = "grant_told"

    grant_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    status: Mapped[GrantStatus] = mapped_column(by_value(GrantStatus))
    rights: Mapped[list[str]] = mapped_column(ARRAY(Text))
    billing_units: Mapped[list[str] | None] = mapped_column(ARRAY(Text))


def news_of(event: AccessChanged, before: GrantTold | None, *, sequence: int) -> Kind | None:
    """What a person is to be told of the change; nothing of a firm's grant, nor of one that nobody has taken up.

    Reactions begin in the middle of history. Without ``before``, a grant whose first event this is was nothing until
    now; of any other it is not known what it was. That it is gone is told all the same, and nothing else.
    """
    if event.account_id is None:
        return None
    was_active = before is not None and before.status is GrantStatus.ACTIVE
    unknown = before is None and sequence > 1
    match event.status:
        case GrantStatus.ACTIVE if unknown:
            return None
        case GrantStatus.ACTIVE if was_active:
            return Kind.RIGHTS_CHANGED if _differs(event, before) else None
        case GrantStatus.ACTIVE:
            return Kind.USER_ADDED if event.given_by else None
        case GrantStatus.REMOVED if was_active or unknown:
            return Kind.ACCESS_REMOVED
    return None


def _differs(event: AccessChanged, before: GrantTold | None) -> bool:
    """Whether it gives other rights, or in other billing units; their order does not count."""
    assert before is not None
    return set(event.rights) != set(before.rights) or _units(event.billing_units) != _units(before.billing_units)


def _units(codes: tuple[str, ...] | list[str] | None) -> set[str] | None:
    return None if codes is None else set(codes)
