"""The carrier's staff, as operators make them."""

from typing import Annotated, Self
from uuid import UUID

from covey_chassis.access import StaffRight
from covey_chassis.http import After, Ctx, Limit, Page, Session, page_of, refuses, service_router
from covey_chassis.operations import Operator, only_operators
from fastapi import Depends, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from covey_identity import queries_accounts as queries
from covey_identity.domain import person_fields as fields
from covey_identity.domain.account import Account, AccountKind, AccountNotFound
from covey_identity.http.shared import Body, Told
from covey_identity.passwords import TooBusy
from covey_identity.use_cases.create_staff import NewStaff, create_staff
from covey_identity.use_cases.give_staff_rights import give_staff_rights
from covey_identity.use_cases.remove_staff import NotStaff, remove_staff

router = service_router(
    prefix="/internal/staff",
    tags=["staff"],
    role="workers",
    guard=only_operators,
    dependencies=[Depends(HTTPBearer(auto_error=False, description="The operator's token."))],
)


class StaffBody(Body):
    """Who is a member of the carrier's staff, and what they may do in all groups."""

    first_name: fields.PersonName
    last_name: fields.PersonName
    email: fields.Email
    rights: Annotated[list[StaffRight], Field(min_length=1)]


class StaffRights(Body):
    """What somebody may do in all groups, and nothing else."""

    rights: Annotated[list[StaffRight], Field(min_length=1)]


class StaffMember(BaseModel):
    """A member of the carrier's staff. A program has a name instead of a person's, and no address."""

    account_id: UUID
    user_id: str
    first_name: str
    last_name: str
    program_name: str | None = None
    email: str | None = None
    rights: list[str]

    @classmethod
    def of(cls, found: Account, rights: list[str]) -> Self:
        return cls(
            account_id=found.id,
            user_id=found.user_id,
            first_name=found.first_name,
            last_name=found.last_name,
            program_name=found.program_name,
            email=None if found.kind is AccountKind.PROGRAM else found.address,
            rights=rights,
        )


class NewStaffMember(StaffMember):
    """Somebody who is a member of the staff now."""

    password: Annotated[str | None, Field(description="Shown this once; left out when there was an account.")] = None


@router.post(
    "",
    status_code=201,
    response_model_exclude_none=True,
    responses=refuses(TooBusy)
    | {200: {"model": NewStaffMember, "description": "There was an account: its rights are these now."}},
    summary="Make somebody staff",
)
async def make_staff(
    body: StaffBody, session: Session, ctx: Ctx, told: Told, response: Response, operator: Operator = "operator"
) -> NewStaffMember:
    """Whoever has the address already gets these rights and no others, and is answered with 200, without a password."""
    new = NewStaff(first_name=body.first_name, last_name=body.last_name, email=body.email, rights=body.rights)
    found, password = await create_staff(ctx, told, session, new, operator=operator)
    if password is None:
        response.status_code = 200
    await session.flush()
    rights = await queries.staff_rights(session, [found.id])
    return NewStaffMember(**dict(StaffMember.of(found, rights[found.id])), password=password)


@router.get("", summary="The carrier's staff")
async def list_staff(session: Session, limit: Limit, after: After) -> Page[StaffMember]:
    """Everybody who has a staff right, by user ID."""
    found, following = await page_of(session, queries.staff(), by=[Account.user_id], limit=limit, after=after)
    rights = await queries.staff_rights(session, [each.id for each in found])
    return Page(items=[StaffMember.of(each, rights[each.id]) for each in found], next=following)


@router.put("/{account_id}", responses=refuses(AccountNotFound), summary="Say what a member of the staff may do")
async def set_staff_rights(
    account_id: UUID, body: StaffRights, session: Session, operator: Operator = "operator"
) -> StaffMember:
    """Whoever has this account, a person or a program, has these rights from now on and no others."""
    found = await give_staff_rights(session, account_id, body.rights, operator=operator)
    rights = await queries.staff_rights(session, [found.id])
    return StaffMember.of(found, rights[found.id])


@router.delete("/{account_id}", status_code=204, responses=refuses(NotStaff), summary="Take all staff rights away")
async def take_staff_rights(account_id: UUID, session: Session, operator: Operator = "operator") -> None:
    """The account stays."""
    await remove_staff(session, account_id, operator=operator)
