"""Programs, and the secrets that they sign on with."""

from uuid import UUID

from covey_chassis.access import By, StaffRight, staff
from covey_chassis.http import Ctx, Session, refuses, service_router
from pydantic import BaseModel

from covey_identity.domain import person_fields as fields
from covey_identity.domain.account import ProgramNotFound
from covey_identity.http.shared import Body
from covey_identity.use_cases.create_program import create_program
from covey_identity.use_cases.replace_program_secret import replace_program_secret

router = service_router(prefix="/v1/programs", tags=["programs"])


class NewProgram(Body):
    """What the program is called."""

    name: fields.ProgramName


class ProgramSecret(BaseModel):
    """What the program signs on with. The secret is shown this once."""

    account_id: UUID
    client_id: str
    client_secret: str


@router.post("", status_code=201, dependencies=[staff(StaffRight.OPERATIONS)], summary="Let a program sign on")
async def make_program(new: NewProgram, by: By, session: Session, ctx: Ctx) -> ProgramSecret:
    """It has no rights by that: it is given grants, as a person is."""
    made, secret = await create_program(session, new.name, by, at=ctx.clock.now())
    return ProgramSecret(account_id=made.id, client_id=made.user_id, client_secret=secret)


@router.post(
    "/{account_id}/secret",
    dependencies=[staff(StaffRight.OPERATIONS)],
    responses=refuses(ProgramNotFound),
    summary="Replace a program's secret",
)
async def replace_secret(account_id: UUID, by: By, session: Session, ctx: Ctx) -> ProgramSecret:
    """The old one is of no use from now on.

    The access tokens that were had with it are refused within moments, and about 8 seconds later at most: by then every
    service goes by it.
    """
    found, secret = await replace_program_secret(session, account_id, by, at=ctx.clock.now())
    return ProgramSecret(account_id=found.id, client_id=found.user_id, client_secret=secret)
