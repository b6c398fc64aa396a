"""Every route says who may use it, in one line, in its ``dependencies``; one that does not can't be served.

    dependencies=[requires(Right.GROUP_UPDATE)]              a right in the group that the path names
    dependencies=[requires(or_staff=(StaffRight.OPERATIONS,))]   any right in it, or staff
    dependencies=[sees(Right.RENEWALS_VIEW)]                 the route filters by ``sight: InSight``
    dependencies=[staff(StaffRight.OPERATIONS)]              carrier staff
    dependencies=[signed_on()]                               anybody who is signed on
    dependencies=[public("why")]                             anybody

A route that changes something (any method but GET and HEAD) takes the locks of those who act before it reads what they
may. Acting on a whole group takes the right in all of its billing units, reading takes it in one of them.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Depends, Request, params
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.access.checking import (
    AccessUnverified,
    AccountLocked,
    Actor,
    NotYours,
    Sight,
    check,
)
from covey_chassis.access.rights import Right, StaffRight
from covey_chassis.access.rows import see_all_groups
from covey_chassis.access.tokens import SignOnNeeded, Token
from covey_chassis.errors import FieldError, Invalid, Refusal
from covey_chassis.transaction import Session, context_of

TOKEN = "covey.token"  # noqa: S105 - a key in the ASGI scope
ACTOR = "covey.actor"
"""Key in the ASGI scope; there once the request is authorised."""
NOBODY = "nobody"
"""The actor of a public route."""

SAFE = frozenset({"GET", "HEAD"})

_bearer = HTTPBearer(auto_error=False, description="An access token.")


@dataclass(frozen=True)
class Requirement:
    """Who may use a route."""

    rights: tuple[Right, ...] = ()
    staff: tuple[StaffRight, ...] = ()
    in_group: bool = False
    by_sight: bool = False
    whole_group: bool | None = None
    before: Callable[[Request], Awaitable[None]] | None = None

    @property
    def refusals(self) -> tuple[type[Refusal], ...]:
        own = (NotYours, AccountLocked) if self.in_group or (self.staff and not self.by_sight) else (AccountLocked,)
        return (SignOnNeeded, AccessUnverified, *own)

    async def __call__(
        self, request: Request, session: Session, _token: Annotated[object, Depends(_bearer)] = None
    ) -> None:
        await self.authorise(request, session)

    async def authorise(self, request: Request, session: AsyncSession) -> None:
        """Let the request pass, or refuse it, by what is true in the database now."""
        acting = request.method not in SAFE
        group_id = _group_in(request) if self.in_group else None
        actor = await check(session, token_of(request), group_id, acting=acting, in_sight=self.by_sight)
        if not self._lets(actor, acting=acting):
            raise NotYours
        if not self.in_group and actor.has_staff_right(self.staff):
            await see_all_groups(session)
        request.scope[ACTOR] = actor

    def _lets(self, actor: Actor, *, acting: bool) -> bool:
        if actor.has_staff_right(self.staff):
            return True
        if self.in_group:
            return actor.holds(*self.rights, whole_group=acting if self.whole_group is None else self.whole_group)
        return self.by_sight or not self.staff


@dataclass(frozen=True)
class Public:
    """Nobody needs to be signed on, because ``why``."""

    why: str

    async def __call__(self, request: Request) -> None:
        request.scope[ACTOR] = NOBODY


Before = Callable[[Request], Awaitable[None]]
"""Slow work, such as hashing, that is done before a request's transaction begins: it must hold no lock meanwhile.

Whoever asks is known then, and what they may do is not. What it makes is left in ``request.scope``.
"""


def requires(
    *rights: Right,
    or_staff: tuple[StaffRight, ...] = (),
    whole_group: bool | None = None,
    before: Before | None = None,
) -> params.Depends:
    """One of these rights in the group that the path's ``group_id`` names; any right, when none is named.

    ``whole_group`` asks for it in all of the group's billing units; by default of those who change something.
    """
    return _depends(Requirement(rights, or_staff, in_group=True, whole_group=whole_group, before=before))


def sees(*rights: Right, or_staff: tuple[StaffRight, ...] = ()) -> params.Depends:
    """Anybody who is signed on, but only for groups in which they hold one of these rights (any, when none is named).

    The route takes ``sight: InSight`` and filters each of its queries with it; staff see every group.
    """
    return _depends(Requirement(rights, or_staff, by_sight=True))


def staff(*rights: StaffRight, before: Before | None = None) -> params.Depends:
    """Carrier staff who have one of these rights."""
    return _depends(Requirement(staff=rights, before=before))


def signed_on(*, before: Before | None = None) -> params.Depends:
    """Anybody who is signed on."""
    return _depends(Requirement(before=before))


def public(why: str) -> params.Depends:
    """Anybody at all."""
    return _depends(Public(why))


def _depends(what: Callable[..., Any]) -> params.Depends:
    return cast("params.Depends", Depends(what))


# --- what a route gets ---


def token_of(request: Request) -> Token:
    """The verified token. It was verified before the body was read."""
    return cast("Token", request.scope[TOKEN])


def actor_of(request: Request) -> Actor:
    """Who acts, once the request is authorised."""
    actor = request.scope[ACTOR]
    assert isinstance(actor, Actor)  # a public route has nobody to ask for
    return actor


async def _actor(request: Request) -> Actor:
    return actor_of(request)


async def _sight_of(request: Request) -> Sight:
    requirement = requirement_of(request.scope["route"])
    assert isinstance(requirement, Requirement)
    actor = actor_of(request)
    return Sight(actor, requirement.rights, actor.has_staff_right(requirement.staff))


async def _again_of(request: Request) -> Callable[[AsyncSession], Awaitable[Actor]]:
    requirement = requirement_of(request.scope["route"])
    assert isinstance(requirement, Requirement)

    async def again(session: AsyncSession) -> Actor:
        token_of(request).check_time(context_of(request).clock.now())
        await requirement.authorise(request, session)
        return actor_of(request)

    return again


async def _sight_again_of(request: Request) -> Callable[[AsyncSession], Awaitable[Sight]]:
    again = await _again_of(request)

    async def sight_again(session: AsyncSession) -> Sight:
        await again(session)
        return await _sight_of(request)

    return sight_again


By = Annotated[Actor, Depends(_actor)]
"""Who asks or acts."""

InSight = Annotated[Sight, Depends(_sight_of)]
"""Which groups they see."""

Again = Annotated[Callable[[AsyncSession], Awaitable[Actor]], Depends(_again_of)]
"""For a streamed answer: ``await again(session)`` before each piece, and at least every ``LEASE_S``, in its own session."""

SightAgain = Annotated[Callable[[AsyncSession], Awaitable[Sight]], Depends(_sight_again_of)]
"""Likewise, of a route that names no group: it says which groups they see now."""


async def authenticate(request: Request, requirement: "Requirement | Public") -> None:
    """Verify the token, before anything else of the request is looked at.

    Raises:
        SignOnNeeded: there is none, or it is not good.
    """
    if isinstance(requirement, Requirement):
        verifier = context_of(request).verifier
        request.scope[TOKEN] = await verifier.verify(request.headers.get("authorization", ""))


def _group_in(request: Request) -> UUID:
    try:
        return UUID(request.path_params["group_id"])
    except ValueError as error:
        raise Invalid(FieldError("path:group_id", "is not a UUID")) from error


# --- what is checked before anything is served ---


def requirement_of(route: Any) -> "Requirement | Public | None":
    """What the route says of who may use it."""
    found = [each.dependency for each in route.dependencies if isinstance(each.dependency, Requirement | Public)]
    return found[0] if len(found) == 1 else None


def check_declared(route: APIRoute) -> None:
    """Refuse a route that does not say who may use it, or does not do what it says.

    Raises:
        ValueError: with what is wrong.
    """
    name = f"{', '.join(sorted(route.methods or ()))} {route.path}"
    requirement = requirement_of(route)
    if requirement is None:
        raise ValueError(f"{name} must say who may use it: one of requires, sees, staff, signed_on, public")
    if isinstance(requirement, Public):
        return
    if requirement.in_group and "{group_id}" not in route.path:
        raise ValueError(f"{name} requires a right in a group, but its path names none")
    takes_sight = any(
        each.annotation in (InSight, SightAgain)
        for each in inspect.signature(route.endpoint, eval_str=True).parameters.values()
    )
    if requirement.by_sight and not SAFE.issuperset(route.methods or ()):
        raise ValueError(f"{name} changes something: it must name its group, so that the group's lock can be taken")
    if requirement.by_sight != takes_sight:
        raise ValueError(
            f"{name} must take `sight: InSight` (or `again: SightAgain`) if, and only if, it is declared with sees()"
        )
