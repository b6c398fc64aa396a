"""A toy service with one aggregate, so that the chassis's HTTP half can be driven on a real database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import pytest
from covey_chassis.access import public
from covey_chassis.db import Aggregate, Base, load
from covey_chassis.envelope import current_cause
from covey_chassis.errors import FieldError, Invalid, NotFound, Refusal
from covey_chassis.http import (
    MIB,
    After,
    Ctx,
    IdempotencyKey,
    Limit,
    Page,
    Session,
    StaleVersion,
    Version,
    check_version,
    page_of,
    refuses,
    service_router,
    set_etag,
)
from covey_chassis.ids import new_id
from covey_chassis.service import Service
from covey_chassis.testing import Harness, ServiceHarness
from covey_chassis.transaction import work_of
from fastapi import APIRouter, BackgroundTasks, Form, HTTPException, Request, Response, UploadFile
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, text
from sqlalchemy.orm import Mapped, mapped_column
from starlette.responses import StreamingResponse

TABLES = """
CREATE TABLE gadget (
    id uuid PRIMARY KEY, name text NOT NULL UNIQUE, size int NOT NULL, version int NOT NULL, sequence int NOT NULL
);
CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, said jsonb);
CREATE TABLE promise (gadget uuid REFERENCES gadget DEFERRABLE INITIALLY DEFERRED);
"""


class Gadget(Aggregate, Base):
    __tablename__ = "gadget"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    size: Mapped[int]


class GadgetNotFound(NotFound):
    """No gadget has this ID."""


class GadgetIsStuck(Refusal):
    """The gadget is stuck."""


class Part(BaseModel):
    weight: int = Field(ge=1)


class NewGadget(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    size: int
    parts: list[Part] = []


class GadgetView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    size: int
    version: int


anybody = [public("it is a toy")]
router = service_router(prefix="/v1/gadgets", tags=["gadgets"], dependencies=anybody)


@router.post("", status_code=201)
async def make_gadget(new: NewGadget, session: Session, key: IdempotencyKey, response: Response) -> GadgetView:
    gadget = Gadget(id=new_id(), name=new.name, size=new.size)
    session.add(gadget)
    if new.name == "stuck":
        await session.flush()
        raise GadgetIsStuck(name=new.name)
    await set_etag(response, session, gadget)
    response.headers["Location"] = f"/v1/gadgets/{gadget.id}"
    return GadgetView.model_validate(gadget)


@router.get("")
async def list_gadgets(
    session: Session, limit: Limit, after: After, name: str | None = None, largest_first: bool = False
) -> Page[GadgetView]:
    query = select(Gadget)
    if name is not None:
        query = query.where(Gadget.name.contains(name, autoescape=True))
    rows, more = await page_of(
        session, query, by=(Gadget.size, Gadget.id), limit=limit, after=after, descending=largest_first
    )
    return Page(items=[GadgetView.model_validate(row) for row in rows], next=more)


@router.get("/{gadget_id}", responses=refuses(GadgetNotFound))
async def read_gadget(gadget_id: UUID, session: Session, response: Response) -> GadgetView:
    gadget = await load(session, Gadget, gadget_id, missing=GadgetNotFound)
    await set_etag(response, session, gadget)
    return GadgetView.model_validate(gadget)


@router.put("/{gadget_id}", responses=refuses(GadgetNotFound, StaleVersion))
async def resize_gadget(
    gadget_id: UUID, new: NewGadget, version: Version, session: Session, response: Response
) -> GadgetView:
    gadget = await load(session, Gadget, gadget_id, missing=GadgetNotFound)
    check_version(gadget, version)
    gadget.size = new.size
    await set_etag(response, session, gadget)
    return GadgetView.model_validate(gadget)


odd = service_router(prefix="/v1/odd", tags=["odd"], dependencies=anybody)


@odd.post("/notes")
async def note_anything(said: dict[str, Any], session: Session) -> dict[str, Any]:
    await session.execute(
        text("INSERT INTO note (said) VALUES (CAST(CAST(:said AS text) AS jsonb))"), {"said": str(len(said))}
    )
    return said


@odd.get("/search")
async def search(session: Session, what: str, size: int = 1) -> int:
    found = await session.scalar(
        text("SELECT count(*) FROM gadget WHERE name = :what OR size = CAST(:size AS int)"),
        {"what": what, "size": size},
    )
    return int(found or 0)


@odd.post("/files", max_body_size=3 * MIB)
async def keep_file(file: UploadFile, title: Annotated[str, Form()], key: IdempotencyKey, session: Session) -> str:
    size = len(await file.read())
    await session.execute(text("INSERT INTO note (said) VALUES (to_jsonb(CAST(:title AS text)))"), {"title": title})
    return f"{title}: {size}"


@odd.post("/promises")
async def promise(session: Session, key: IdempotencyKey) -> str:
    await session.execute(text("INSERT INTO promise VALUES (:gadget)"), {"gadget": new_id()})
    return "done"


@odd.post("/waiting")
async def wait_for_lock(session: Session, key: IdempotencyKey) -> str:
    await session.execute(text("SELECT pg_advisory_xact_lock(7)"))
    await session.execute(text("INSERT INTO note (said) VALUES ('1')"))
    return "done"


@odd.get("/stream")
async def stream(session: Session, context: Ctx) -> StreamingResponse:
    await session.execute(text("INSERT INTO note (said) VALUES ('\"streamed\"')"))

    async def connections() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield f"{context.requests.engine.pool.checkedout()};".encode()  # type: ignore[attr-defined]
            await asyncio.sleep(0)

    return StreamingResponse(connections(), media_type="application/json")


@odd.get("/cause")
async def cause() -> str:
    found = current_cause()
    return found.correlation_id if found else ""


@odd.get("/origin")
async def origin() -> str:
    found = current_cause()
    return (found and found.origin) or ""


@odd.get("/trace")
async def trace() -> str:
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


@odd.post("/afterwards")
async def afterwards(session: Session, context: Ctx, tasks: BackgroundTasks) -> str:
    await session.execute(text("INSERT INTO note (said) VALUES ('\"before\"')"))

    async def see() -> None:
        async with context.requests.transaction() as later:
            await later.execute(text("INSERT INTO note (said) SELECT to_jsonb(count(*)) FROM note"))

    tasks.add_task(see)
    return "done"


@odd.post("/waited-for/{statement}")
async def wait_for_more(statement: str, request: Request, session: Session, context: Ctx) -> str:
    await session.execute(text("INSERT INTO note (said) VALUES ('\"done\"')"))

    async def afterwards() -> Response | None:
        async with context.requests.transaction() as later:
            await later.execute(text(STATEMENTS[statement]))
        return None

    work_of(request).afterwards = afterwards
    return "done"


FAULTS: dict[str, Callable[[], Exception]] = {
    "refusal": GadgetIsStuck,
    "invalid": lambda: Invalid(FieldError("/a~1b", "is odd"), FieldError("query:c", "is odder")),
    "not-found": lambda: GadgetNotFound(id=1),
    "forbidden": lambda: HTTPException(403, "Not you."),
    "teapot": lambda: HTTPException(418),
    "bug": lambda: ZeroDivisionError("canary-of-the-inside"),
}


@odd.post("/faults/{name}")
async def fail(name: str, session: Session) -> str:
    await session.execute(text("INSERT INTO note (said) VALUES ('1')"))
    fault = FAULTS[name]()
    raise fault


STATEMENTS = {
    "timeout": "SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)",
    "gone": "SELECT pg_terminate_backend(pg_backend_pid())",
    "twice": "INSERT INTO gadget SELECT uuidv7(), 'same', 1, 1, 0 FROM generate_series(1, 2)",
    "too-large": "SELECT 1 / 0",
}


@odd.post("/statements/{name}")
async def execute(name: str, session: Session) -> str:
    await session.execute(text("INSERT INTO note (said) VALUES ('1')"))
    for statement in STATEMENTS[name].split(";"):
        await session.execute(text(statement))
    return "done"


@odd.post("/stale")
async def write_stale(gadget_id: UUID, session: Session) -> str:
    gadget = await load(session, Gadget, gadget_id, missing=GadgetNotFound)
    await session.execute(text("UPDATE gadget SET version = version + 1"))
    gadget.size += 1
    return "done"


@odd.post("/plain-answer")
async def answer_plainly(session: Session) -> Response:
    await session.execute(text("INSERT INTO note (said) VALUES ('1')"))
    return Response("no", 409)


TOY = Service(name="chassis", summary="A toy.", routers=[router, odd])


class Toy:
    """The harness, with the counts that tests ask for."""

    def __init__(self, harness: Harness) -> None:
        self.context = harness.context
        self.api = harness.api
        self.operator = harness.operator
        self.transaction = harness.transaction

    async def count(self, table: str) -> int:
        async with self.transaction() as session:
            return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)

    async def execute(self, statement: str, **parameters: object) -> Any:
        async with self.transaction() as session:
            found = await session.execute(text(statement), parameters)
            return found.all() if found.returns_rows else None


NewToy = Callable[..., AbstractAsyncContextManager[Toy]]


@pytest.fixture(scope="session")
def new_toy(service_harness: ServiceHarness) -> NewToy:
    @asynccontextmanager
    async def fresh(**settings: Any) -> AsyncIterator[Toy]:
        async with service_harness(TOY, **settings) as harness:
            owner = harness.context.settings.owner_database_url
            assert owner is not None
            connection = await asyncpg.connect(owner.get_secret_value())
            await connection.execute(TABLES)
            await connection.close()
            yield Toy(harness)

    return fresh


@pytest.fixture
async def toy(new_toy: NewToy) -> AsyncIterator[Toy]:
    async with new_toy() as fresh:
        yield fresh


@pytest.fixture(scope="session")
async def empty_toy(new_toy: NewToy) -> AsyncIterator[Toy]:
    """One for all tests that leave nothing behind."""
    async with new_toy() as shared:
        yield shared


@pytest.fixture
def routers() -> list[APIRouter]:
    """The toy's routes, for another instance of it."""
    return [router, odd]
