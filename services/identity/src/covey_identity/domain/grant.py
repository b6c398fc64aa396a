"""A grant: a person, or a firm for its members, holds rights in a group, given by somebody who held them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from covey_chassis.access import Right
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.access.rights import DELEGABLE, with_implied
from covey_chassis.db import Aggregate, Base, by_value
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.ids import new_id
from covey_chassis.lifecycle import Lifecycle
from covey_contracts.identity import AccessChanged, GrantRole, GrantStatus
from sqlalchemy import ARRAY, Text
from sqlalchemy.orm import Mapped, mapped_column

from covey_identity.domain.person_fields import address_key

LIFECYCLE = Lifecycle[GrantStatus](
    activate={GrantStatus.INVITED: GrantStatus.ACTIVE},
    change_rights={GrantStatus.INVITED: GrantStatus.INVITED, GrantStatus.ACTIVE: GrantStatus.ACTIVE},
    pass_on={GrantStatus.INVITED: GrantStatus.INVITED, GrantStatus.ACTIVE: GrantStatus.ACTIVE},
    invite_again={GrantStatus.INVITED: GrantStatus.INVITED},
    remove={GrantStatus.INVITED: GrantStatus.REMOVED, GrantStatus.ACTIVE: GrantStatus.REMOVED},
)


class UserNotFound(NotFound):
    """Nobody in this group has this grant."""


class UserAlreadyThere(Refusal):
    """Somebody with this email address has been added to this group already."""


class AlreadyHasAccess(Refusal):
    """This account has access to the group already: its primary administrator changes what it may do there."""


class MoreThanYouHold(Refusal):
    """You can give the rights and billing units that you hold yourself, or fewer."""

    status = 403


class PrimaryIsTheCarriers(Refusal):
    """A primary administrator is appointed, re-issued a code and removed by the carrier alone."""

    status = 403


class PrimaryHoldsEverything(Refusal):
    """A primary administrator holds every right in the group: to hold fewer, somebody else has to be the primary."""


@dataclass(frozen=True)
class Scope:
    """Rights in some of a group's billing units; None means all of them, later ones too."""

    rights: frozenset[Right]
    billing_units: frozenset[str] | None

    @classmethod
    def of(cls, rights: Collection[Right], billing_units: Collection[str] | None) -> "Scope":
        """With the rights that these imply."""
        return cls(with_implied(rights), None if billing_units is None else frozenset(billing_units))

    def within(self, other: "Scope") -> bool:
        """Whether the other is the same or wider."""
        if other.billing_units is not None and (
            self.billing_units is None or not self.billing_units <= other.billing_units
        ):
            return False
        return self.rights <= other.rights


EVERYTHING = Scope(DELEGABLE, None)
"""What a primary administrator holds, and can give."""


class Grant(Aggregate, Base, kw_only=True):
    """Who holds which rights, in which group and billing units, since when, given by whom.

    A person's grant is invited until they redeem their access code; a firm's is active at once. ``giving_grant`` is the
    grant by which it was given: what that one loses, this one loses too. The carrier's own (a primary's) has none.
    """

    __tablename__ = "access_grant"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    group_id: Mapped[UUID]
    role: Mapped[GrantRole] = mapped_column(by_value(GrantRole))
    account_id: Mapped[UUID | None] = mapped_column(default=None)
    firm_id: Mapped[UUID | None] = mapped_column(default=None)
    first_name: Mapped[str | None] = mapped_column(default=None, repr=False)
    last_name: Mapped[str | None] = mapped_column(default=None, repr=False)
    email: Mapped[str | None] = mapped_column(default=None, repr=False)
    email_key: Mapped[str | None] = mapped_column(init=False, repr=False)
    language: Mapped[str] = mapped_column(default="en")
    rights: Mapped[list[str]] = mapped_column(ARRAY(Text))
    billing_units: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    status: Mapped[GrantStatus] = mapped_column(by_value(GrantStatus), default=GrantStatus.INVITED)
    given_by: Mapped[UUID | None] = mapped_column(default=None)
    giving_grant: Mapped[UUID | None] = mapped_column(default=None)
    since: Mapped[datetime]

    def __post_init__(self) -> None:
        self.email_key = None if self.email is None else address_key(self.email)

    @property
    def scope(self) -> Scope:
        if self.role is GrantRole.PRIMARY:
            return EVERYTHING
        return Scope(
            frozenset(map(Right, self.rights)), None if self.billing_units is None else frozenset(self.billing_units)
        )

    def give(self) -> AccessChanged:
        """It is given: to a firm at once, to a person once they redeem their code."""
        return self.told()

    def activate(self, account_id: UUID, *, at: datetime) -> AccessChanged:
        """The person has redeemed their access code."""
        self._move("activate", at=at)
        self.account_id = account_id
        return self.told()

    def change_rights(self, scope: Scope, *, at: datetime) -> AccessChanged | None:
        """From now on the holder has these rights. Nothing happens if they have them already.

        Raises:
            PrimaryHoldsEverything: the holder is the primary administrator.
            IllegalMove: it is removed.
        """
        if self.role is GrantRole.PRIMARY:
            raise PrimaryHoldsEverything
        status = LIFECYCLE.after("change_rights", self.status)
        if scope == self.scope:
            return None
        self.status, self.since = status, at
        self.rights = sorted(scope.rights)
        self.billing_units = None if scope.billing_units is None else sorted(scope.billing_units)
        return self.told()

    def pass_on(self, giver: "Grant", *, at: datetime) -> AccessChanged:
        """Somebody else is the primary now: what the former one delegated goes on by the new one."""
        self.status = LIFECYCLE.after("pass_on", self.status)
        self.giving_grant, self.given_by = giver.id, giver.account_id
        return self.told()

    def invite_again(self) -> None:
        """Another code is about to be issued."""
        self.status = LIFECYCLE.after("invite_again", self.status)

    def remove(self, *, at: datetime) -> AccessChanged:
        """The holder has none of it any more."""
        self._move("remove", at=at)
        return self.told()

    def fact(self) -> Fact:
        """As every service is to know it. A primary also manages access, which nobody can be given."""
        is_primary = self.role is GrantRole.PRIMARY
        return Fact(
            kind=FactKind.GRANT,
            id=self.id,
            group_id=self.group_id,
            account_id=self.account_id,
            firm_id=self.firm_id,
            rights=tuple(sorted(Right)) if is_primary else tuple(self.rights),
            billing_units=None if self.billing_units is None else tuple(self.billing_units),
            active=self.status is GrantStatus.ACTIVE,
        )

    def told(self) -> AccessChanged:
        return AccessChanged(
            grant_id=self.id,
            group_id=self.group_id,
            account_id=self.account_id,
            firm_id=self.firm_id,
            role=self.role,
            rights=tuple(sorted(self.scope.rights)),
            billing_units=None if self.billing_units is None else tuple(self.billing_units),
            status=self.status,
            given_by=self.given_by,
        )

    def _move(self, verb: str, *, at: datetime) -> None:
        self.status = LIFECYCLE.after(verb, self.status)
        self.since = at


def primary_of(group_id: UUID, *, first_name: str, last_name: str, email: str, language: str, at: datetime) -> Grant:
    """The carrier invites a primary administrator."""
    return Grant(
        group_id=group_id,
        role=GrantRole.PRIMARY,
        first_name=first_name,
        last_name=last_name,
        email=email,
        language=language,
        rights=sorted(DELEGABLE),
        billing_units=None,
        since=at,
    )
