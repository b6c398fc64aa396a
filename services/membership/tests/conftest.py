import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
import pytest
from covey_chassis.testing import Harness, ServiceHarness
from covey_membership.app import service

Body = dict[str, Any]
Row = dict[str, str]


@pytest.fixture
async def covey(service_harness: ServiceHarness) -> AsyncIterator[Harness]:
    async with service_harness(service) as harness:
        yield harness


@pytest.fixture(scope="session")
def body() -> Callable[..., Body]:
    """``body(legal_name="Acme")``: a group as it is registered over HTTP, each with a number of its own."""
    numbers = count(1)

    def make(**different: Any) -> Body:
        number = next(numbers)
        return {
            "group_number": f"G-{number:04d}",
            "legal_name": f"Quillfern Ceramics {number} LLC",
            "ein": "12-3456789",
            "market_region": "California",
            "principal_address": {
                "street": "2410 Example Street",
                "city": "Fresno",
                "state": "CA",
                "county": "Fresno",
                "zip": "93721",
            },
            "contract_signer": {"name": "Marisol Abenayo", "email": "marisol@quillfern.example.org"},
            "billing_contact": {"name": "Dev Ranganath", "email": "billing@quillfern.example.org"},
            "billing_units": [{"code": "001", "name": "Studio"}, {"code": "002", "name": "Warehouse"}],
            "effective_date": "2021-02-01",
            "renewal_date": "2027-02-01",
            "plans": [{"plan_year": 2026, "plan_id": "GOLD-80"}],
            "broker": {
                "firm_number": "F-204",
                "firm_name": "Alderquist Benefits",
                "acquired_date": "2024-06-17",
                "contact": {"name": "Teodora Lindqvist", "email": "teodora@alderquist.example.org"},
            },
        } | different

    return make


@pytest.fixture(scope="session")
def row() -> Callable[..., Row]:
    """``row(7, ein="")``: a row of a file, good but for what is said to be different."""

    def make(number: int, **different: str) -> Row:
        return {
            "group_number": f"{number:06d}",
            "legal_name": f"Tamarisk & Thistle {number}, Inc.",
            "ein": "98-7654321",
            "market_region": "California",
            "street": f"{number} Example Avenue",
            "city": "Eureka",
            "county": "Humboldt",
            "state": "CA",
            "zip": "95501",
            "effective_date": "2022-01-01",
            "renewal_date": "2027-01-01",
            "contract_signer_name": "Ana Peña-Whitlock",
            "contract_signer_email": f"ana{number}@tamarisk.example.org",
            "billing_contact_name": "Ana Peña-Whitlock",
            "billing_contact_email": f"billing{number}@tamarisk.example.org",
            "firm_number": "F-204",
            "firm_name": "Alderquist Benefits",
            "firm_contact_name": "Teodora Lindqvist",
            "firm_contact_email": "teodora@alderquist.example.org",
            "acquired_date": "2024-06-17",
            "billing_units": "ALL=Everyone",
            "plans": "2026:GOLD-80|2026:SILVER-70",
        } | different

    return make


@pytest.fixture(scope="session")
def as_csv() -> Callable[..., bytes]:
    """A file with these rows, as a spreadsheet program writes it."""

    def write(rows: Sequence[Row], columns: Iterable[str] | None = None) -> bytes:
        out = io.StringIO()
        writer = csv.DictWriter(out, list(columns or rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().encode()

    return write


def command(key: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": key or uuid4().hex}


@pytest.fixture
def register(covey: Harness, body: Callable[..., Body]) -> Callable[..., Any]:
    """``await register(legal_name="Acme")``: the answer of registering such a group."""

    async def post(**different: Any) -> httpx.Response:
        return await covey.api.post("/v1/groups", json=body(**different), headers=command())

    return post


@pytest.fixture
def send(covey: Harness) -> Callable[..., Any]:
    """``await send(content)``: the answer to a file."""

    async def post(content: bytes, key: str | None = None, media_type: str = "text/csv") -> httpx.Response:
        headers = {"Content-Type": media_type} | command(key)
        return await covey.api.post("/v1/imports", content=content, headers=headers)

    return post


@pytest.fixture
def bring_in(covey: Harness, send: Callable[..., Any]) -> Callable[..., Any]:
    """``report, errors = await bring_in(content)``: a file, worked to its end; its bad rows as (line, column, message)."""

    async def work(content: bytes) -> tuple[Body, list[tuple[int, str, str]]]:
        sent = await send(content)
        assert sent.status_code == 202, sent.text
        await covey.work("imports")
        path = sent.headers["Location"]
        report = (await covey.api.get(path)).json()
        answer = await covey.api.get(f"{path}/errors.csv")
        rows = list(csv.reader(io.StringIO(answer.text)))
        assert rows.pop(0) == ["line", "column", "message"]
        return report, [(int(line), column, message) for line, column, message in rows]

    return work
