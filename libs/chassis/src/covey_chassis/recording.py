"""Which requests are acts (``covey_chassis.acts``): commands, looks at what is sensitive, and what is refused for want of a
right. Anything else that is refused says nothing of anybody's rights, and stands in the log.
"""

from collections.abc import Iterator
from http import HTTPStatus
from uuid import UUID

import structlog
from covey_contracts.acts import ActAuthority, ActOutcome
from fastapi import Request

from covey_chassis.access.checking import Actor
from covey_chassis.access.requiring import ACTOR, SAFE, TOKEN, Requirement, requirement_of, token_of
from covey_chassis.acts import ABOUT, SENSITIVE, Act
from covey_chassis.errors import Refusal
from covey_chassis.transaction import Work, context_of

log = structlog.get_logger(__name__)


def is_denial(refusal: Refusal) -> bool:
    """Whether somebody was refused for want of a right, and not because of how things stand."""
    return refusal.status == HTTPStatus.FORBIDDEN


async def record_done(request: Request, work: Work) -> None:
    """Write down what the request did, in its own transaction, which is not committed yet."""
    keep = context_of(request).acts
    actor = request.scope.get(ACTOR)
    requirement = requirement_of(request.scope["route"])
    if keep is None or not isinstance(actor, Actor) or not isinstance(requirement, Requirement):
        return
    changes = request.method not in SAFE
    if not changes and (work.begun is None or SENSITIVE not in work.begun.info):
        return
    session = await work.session()
    about = session.info.get(ABOUT, {}) | dict(_named(request))
    act = Act(
        act=request.scope["route"].name,
        changes=changes,
        outcome=ActOutcome.DONE,
        authority=_authority(actor, requirement),
        account_id=actor.account_id,
        session_id=actor.session_id,
        group_id=about.pop("group_id", None),
        about=about,
    )
    await keep(session, act)


async def record_refused(request: Request, denial: Refusal) -> None:
    """Write down that the request was refused, in a transaction of the workers': its own is rolled back.

    Where that can't be done it is an error in the log, and the refusal stays what it was.
    """
    context = context_of(request)
    if context.acts is None or TOKEN not in request.scope:
        return
    token = token_of(request)
    about = dict(_named(request))
    act = Act(
        act=request.scope["route"].name,
        changes=request.method not in SAFE,
        outcome=ActOutcome.REFUSED,
        authority=ActAuthority.NONE,
        account_id=token.account_id,
        session_id=token.session_id,
        group_id=about.pop("group_id", None),
        about=about,
        why=denial.code(),
    )
    said = {"account_id": str(act.account_id), "act": act.act, "group_id": str(act.group_id), "why": act.why}
    if not context.refusals.may_be_written(act):
        log.warning("act.one_too_many", **said)
        return
    try:
        async with context.workers.transaction() as session:
            await context.acts(session, act)
    except Exception as error:  # whatever it is, the answer is that they may not
        log.error("act.not_written", exc_info=error, **said)


def _named(request: Request) -> Iterator[tuple[str, UUID]]:
    """The IDs in the path. Whatever else somebody may have typed there is left out."""
    for name, value in request.path_params.items():
        try:
            yield name, UUID(str(value))
        except ValueError:
            continue


def _authority(actor: Actor, requirement: Requirement) -> ActAuthority:
    if actor.has_staff_right(requirement.staff):
        return ActAuthority.STAFF
    return ActAuthority.GRANT if requirement.in_group or requirement.by_sight else ActAuthority.NONE
