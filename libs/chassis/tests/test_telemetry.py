"""Spans say which route was asked for, never what was searched for."""

from covey_chassis.telemetry import FASTAPI, WithoutQuery
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


async def test_a_span_holds_the_route_and_not_the_query():
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(WithoutQuery())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = FastAPI(telemetry=FASTAPI | {"tracer_provider": provider})

    @app.get("/v1/members/{member_id}")
    async def read_member(member_id: int, email: str) -> int:
        return member_id

    @app.get("/livez")
    async def livez() -> None:
        return None

    async with AsyncClient(transport=ASGITransport(app), base_url="http://covey.test") as api:
        await api.get("/v1/members/7", params={"email": "ada.canary@example.org"})
        await api.get("/livez")

    (span,) = exporter.get_finished_spans()
    assert span.name == "GET /v1/members/{member_id}"
    assert "canary" not in span.to_json()
