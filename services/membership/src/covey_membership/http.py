"""Groups and imports over HTTP, and who may see or change them."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from covey_chassis.access import Again, By, InSight, Right, StaffRight, requires, sees, staff
from covey_chassis.acts import shows_sensitive, tells_of
from covey_chassis.envelope import current_cause
from covey_chassis.http import (
    MIB,
    After,
    Ctx,
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
from fastapi import Body, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, with_config
from sqlalchemy import select
from typing_extensions import TypedDict

from covey_membership import queries
from covey_membership.domain import fields, group_file
from covey_membership.domain.group import Group, GroupNotFound, GroupNumberTaken
from covey_membership.domain.group_file import FileNotReadable
from covey_membership.domain.group_import import GroupImport, ImportNotFound, ImportStatus
from covey_membership.domain.profile import (
    Address,
    BillingUnit,
    BillingUnits,
    Broker,
    CarrierData,
    Contact,
    NewGroup,
    Plan,
)
from covey_membership.use_cases.change_group import change_group
from covey_membership.use_cases.register_group import register_group
from covey_membership.use_cases.start_import import start_import

OPERATIONS = staff(StaffRight.OPERATIONS)
SEEING = (StaffRight.OPERATIONS, StaffRight.ACCESS_APPROVE, StaffRight.REVIEW_DECIDE)
"""The staff who see all groups."""

groups = service_router(prefix="/v1/groups", tags=["groups"])
imports = service_router(prefix="/v1/imports", tags=["imports"], dependencies=[OPERATIONS])

FILE_BYTES_MAX = 50 * MIB
FAULTS_PAGE = 1000


class ListedGroup(BaseModel):
    """A group as it is listed: without its billing units, of which not everybody sees each."""

    group_id: UUID
    group_number: str
    legal_name: str
    ein: str
    market_region: str
    principal_address: Address
    contract_signer: Contact
    billing_contact: Contact
    effective_date: date
    renewal_date: date
    plans: tuple[Plan, ...]
    broker: Broker | None

    @classmethod
    def of(cls, group: Group) -> Self:
        return cls(group_id=group.group_id, group_number=group.group_number, **vars(group.profile))


class GroupView(ListedGroup):
    """A group as the carrier knows it."""

    billing_units: Annotated[tuple[BillingUnit, ...], Field(description="Those in which whoever asks has a right.")]

    def within(self, codes: frozenset[str] | None) -> Self:
        """With these billing units only; None for all."""
        if codes is None:
            return self
        return self.model_copy(update={"billing_units": tuple(u for u in self.billing_units if u.code in codes)})


@with_config(ConfigDict(extra="forbid"))
class GroupEdit(TypedDict, total=False):
    """What the group may change by itself. What is left out stays as it is; what is said replaces the whole of it."""

    ein: fields.Ein
    principal_address: Address
    contract_signer: Contact
    billing_contact: Contact
    billing_units: BillingUnits


class ImportView(BaseModel):
    """How far an import is."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    status: ImportStatus
    rows_total: int
    rows_done: int
    registered: int
    changed: int
    unchanged: int
    refused: Annotated[int, Field(description="Bad rows: `errors.csv` tells what is wrong with them.")]
    received_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class Csv(Response):
    """A small file."""

    media_type = "text/csv"


class LongCsv(StreamingResponse):
    """A file that may be long."""

    media_type = "text/csv"


# --- groups ---


@groups.get("", dependencies=[sees(or_staff=SEEING)], summary="Search groups")
async def list_groups(
    session: Session,
    sight: InSight,
    limit: Limit,
    after: After,
    group_number: Annotated[str | None, Query(max_length=100, description="Exactly this number.")] = None,
    q: Annotated[str | None, Query(min_length=1, max_length=100, description="Any part of the name or number.")] = None,
    market_region: Annotated[fields.MarketRegion | None, Query(description="Only groups of this region.")] = None,
    firm_number: Annotated[str | None, Query(max_length=100, description="Only this firm's groups.")] = None,
) -> Page[ListedGroup]:
    """Those in which one has a right, by legal name."""
    query = queries.search(group_number=group_number, sought=q, market_region=market_region, firm_number=firm_number)
    query = query.where(sight.of(Group.group_id))
    found, following = await page_of(session, query, by=queries.BY_NAME, limit=limit, after=after)
    return Page(items=[ListedGroup.of(group) for group in found], next=following)


@groups.post(
    "",
    status_code=201,
    dependencies=[OPERATIONS],
    responses=says(201, "ETag", "Location") | refuses(GroupNumberTaken),
    summary="Register a group",
)
async def register(new: NewGroup, session: Session, ctx: Ctx, key: IdempotencyKey, response: Response) -> GroupView:
    group = await register_group(session, new, seal=ctx.keyring.seal)
    tells_of(session, group_id=group.group_id)
    await set_etag(response, session, group)
    response.headers["Location"] = f"{groups.prefix}/{group.group_id}"
    return GroupView.of(group)


@groups.get(
    "/{group_id}",
    dependencies=[requires(or_staff=SEEING)],
    responses=says(200, "ETag") | refuses(GroupNotFound),
    summary="One group",
)
async def read_group(group_id: UUID, by: By, session: Session, response: Response) -> GroupView:
    """With any right in it. Whose rights are only in some of its billing units sees those units."""
    group = await session.get(Group, group_id)
    if group is None:
        raise GroupNotFound(id=group_id)
    await set_etag(response, session, group)
    return GroupView.of(group).within(None if by.has_staff_right(SEEING) else by.units())


@groups.patch(
    "/{group_id}",
    dependencies=[requires(Right.GROUP_UPDATE, or_staff=(StaffRight.OPERATIONS,))],
    responses=says(200, "ETag") | refuses(GroupNotFound),
    summary="Change what is the group's own",
)
async def change_own_data(
    group_id: UUID,
    edit: Annotated[GroupEdit, Body()],
    version: Version,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
) -> GroupView:
    """Address, EIN, contacts, billing units. Everything else changes only through the carrier."""
    group = await change_group(
        session, group_id, version, lambda profile: replace(profile, **edit), seal=ctx.keyring.seal
    )
    await set_etag(response, session, group)
    return GroupView.of(group)


@groups.put(
    "/{group_id}/carrier-data",
    dependencies=[OPERATIONS],
    responses=says(200, "ETag") | refuses(GroupNotFound),
    summary="Change what is the carrier's",
)
async def change_carrier_data(
    group_id: UUID,
    data: CarrierData,
    version: Version,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
) -> GroupView:
    """Legal name, market region, effective and renewal date, plans, broker of record: all of them, as they shall be."""
    group = await change_group(
        session, group_id, version, lambda profile: replace(profile, **vars(data)), seal=ctx.keyring.seal
    )
    await set_etag(response, session, group)
    return GroupView.of(group)


# --- imports ---


@imports.get("/template.csv", response_class=Csv, summary="A file without rows: the columns")
async def read_template() -> Csv:
    return Csv(group_file.template(), headers=_named("groups.csv"))


@imports.post(
    "",
    status_code=202,
    max_body_size=FILE_BYTES_MAX,
    responses=says(202, "Location") | refuses(FileNotReadable),
    openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
    summary="Import groups from a CSV file",
)
async def import_groups(
    request: Request, session: Session, ctx: Ctx, key: IdempotencyKey, response: Response
) -> ImportView:
    """UTF-8, at most 50 MiB and 200,000 rows, columns as in `template.csv` in any order. It is worked in the background."""
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    if media_type.strip() != "text/csv" or ("charset" in parameters and "utf-8" not in parameters):
        raise HTTPException(415, "This address reads text/csv in UTF-8.", headers={"Accept": "text/csv"})
    cause = current_cause()
    assert cause is not None
    started = await start_import(session, await request.body(), correlation_id=cause.correlation_id, at=ctx.clock.now())
    tells_of(session, import_id=started.id)
    response.headers["Location"] = f"{imports.prefix}/{started.id}"
    return ImportView.model_validate(started)


@imports.get("", summary="Imports, the latest first")
async def list_imports(session: Session, limit: Limit, after: After) -> Page[ImportView]:
    found, following = await page_of(
        session, select(GroupImport), by=[GroupImport.id], limit=limit, after=after, descending=True
    )
    return Page(items=[ImportView.model_validate(each) for each in found], next=following)


@imports.get("/{import_id}", responses=refuses(ImportNotFound), summary="How far an import is")
async def read_import(import_id: UUID, session: Session) -> ImportView:
    found = await session.get(GroupImport, import_id)
    if found is None:
        raise ImportNotFound(id=import_id)
    return ImportView.model_validate(found)


@imports.get(
    "/{import_id}/errors.csv",
    response_class=LongCsv,
    responses=refuses(ImportNotFound),
    summary="What is wrong with an import's bad rows",
)
async def read_import_errors(import_id: UUID, session: Session, ctx: Ctx, again: Again) -> LongCsv:
    """Line, column, sentence: never a value of the file. While the import is running, those found so far."""
    if await session.get(GroupImport, import_id) is None:
        raise ImportNotFound(id=import_id)
    shows_sensitive(session)

    async def pages() -> AsyncIterator[str]:
        yield _csv([("line", "column", "message")])
        last = 0
        while True:
            async with ctx.requests.transaction() as own_session:
                await again(own_session)  # whoever has lost the right meanwhile gets no more of it
                page = await queries.faults(own_session, import_id, after=last, limit=FAULTS_PAGE)
            if not page:
                return
            yield _csv([(str(fault.line), fault.column, fault.message) for fault in page])
            last = page[-1].id

    return LongCsv(pages(), headers=_named(f"errors-{import_id}.csv"))


def _csv(rows: list[tuple[str, ...]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def _named(file_name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{file_name}"'}
