"""The carrier's list of those who help owners with what has to be done."""

from typing import Self
from uuid import UUID

from covey_chassis.access import StaffRight, staff
from covey_chassis.acts import tells_of
from covey_chassis.http import (
    After,
    IdempotencyKey,
    Limit,
    Page,
    Session,
    Version,
    page_of,
    refuses,
    says,
    service_router,
    set_etag,
)
from fastapi import Response
from pydantic import BaseModel
from sqlalchemy import select

from covey_transactions import queries_reviews
from covey_transactions.domain.representative import Contact, Representative, RepresentativeNotFound
from covey_transactions.use_cases.add_representative import add_representative
from covey_transactions.use_cases.change_representative import change_representative

OPERATIONS = staff(StaffRight.OPERATIONS)
READING = staff(StaffRight.REVIEW_DECIDE, StaffRight.OPERATIONS)

router = service_router(prefix="/v1/representatives", tags=["representatives"])


class ChangedRepresentative(Contact):
    """All that is said of somebody, as it shall be."""

    active: bool


class RepresentativeView(BaseModel):
    """Somebody at the carrier who helps."""

    representative_id: UUID
    name: str
    phone: str
    email: str
    active: bool

    @classmethod
    def of(cls, representative: Representative) -> Self:
        return cls(
            representative_id=representative.id,
            name=representative.name,
            phone=representative.phone,
            email=representative.email,
            active=representative.active,
        )


@router.get("", dependencies=[READING], summary="The carrier's representatives")
async def list_representatives(session: Session, limit: Limit, after: After) -> Page[RepresentativeView]:
    """Those who help now, by name; after them those who once did."""
    found, following = await page_of(
        session, select(Representative), by=queries_reviews.BY_NAME, limit=limit, after=after
    )
    return Page(items=[RepresentativeView.of(each) for each in found], next=following)


@router.post("", status_code=201, dependencies=[OPERATIONS], responses=says(201, "ETag", "Location"), summary="Add one")
async def add(contact: Contact, session: Session, key: IdempotencyKey, response: Response) -> RepresentativeView:
    representative = await add_representative(session, contact)
    tells_of(session, representative_id=representative.id)
    await set_etag(response, session, representative)
    response.headers["Location"] = f"{router.prefix}/{representative.id}"
    return RepresentativeView.of(representative)


@router.get(
    "/{representative_id}",
    dependencies=[READING],
    responses=says(200, "ETag") | refuses(RepresentativeNotFound),
    summary="One of them",
)
async def read_representative(representative_id: UUID, session: Session, response: Response) -> RepresentativeView:
    representative = await session.get(Representative, representative_id)
    if representative is None:
        raise RepresentativeNotFound(id=representative_id)
    await set_etag(response, session, representative)
    return RepresentativeView.of(representative)


@router.put(
    "/{representative_id}",
    dependencies=[OPERATIONS],
    responses=says(200, "ETag") | refuses(RepresentativeNotFound),
    summary="Change what is said of one",
)
async def change(
    representative_id: UUID,
    said: ChangedRepresentative,
    version: Version,
    session: Session,
    key: IdempotencyKey,
    response: Response,
) -> RepresentativeView:
    """Transactions that were returned keep what was said then. Who is not active is on no list to choose from."""
    representative = await change_representative(session, representative_id, version, said, active=said.active)
    await set_etag(response, session, representative)
    return RepresentativeView.of(representative)
