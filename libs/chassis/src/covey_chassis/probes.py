"""Probes: whether to restart the process (livez), whether to send it requests (readyz), and its numbers (metrics)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from covey_chassis.errors import FieldError
from covey_chassis.problems import Fault, document

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[str | None]]
"""Nothing when all is well, else the reason in a few words."""
Checks = Callable[[], Sequence[tuple[str, Check]]]
"""Asked at every probe: some checks come to be only while the service starts."""

CHECK_S = 3.0


class Probe(BaseModel):
    """All is well."""

    checks: dict[str, str] = Field(description="Each check by its name, with `ok` or the reason.")


async def _result(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            return await check() or "ok"
    except TimeoutError:
        return f"no answer in {CHECK_S:.0f} s"
    except Exception as error:  # whatever it is, the check has not passed
        log.warning("probe.failed", exc_info=error)
        return type(error).__name__


async def _probe(request: Request, checks: Checks, fault: Callable[[dict[str, str]], Fault]) -> Probe | Response:
    named = checks()
    found = await asyncio.gather(*(_result(check) for _, check in named))
    results = dict(zip((name for name, _ in named), found, strict=True))
    if all(result == "ok" for result in found):
        return Probe(checks=results)
    return document(request.scope, fault(results))


def _fault(code: str, title: str) -> Callable[[dict[str, str]], Fault]:
    def of(results: dict[str, str]) -> Fault:
        bad = [FieldError(f"check:{name}", result) for name, result in results.items() if result != "ok"]
        return Fault(503, code, title, errors=bad, more={"checks": results})

    return of


def probe_routes(*, ready: Checks, live: Checks) -> APIRouter:
    """The three routes. A failed probe is a 503 that names every check."""
    router = APIRouter(tags=["probes"])

    @router.get("/livez", response_model=Probe, summary="Liveness")
    async def livez(request: Request) -> Probe | Response:
        """Whether the process still does its work. When it fails, restart it."""
        return await _probe(request, live, _fault("stuck", "A part of the service no longer works."))

    @router.get("/readyz", response_model=Probe, summary="Readiness")
    async def readyz(request: Request) -> Probe | Response:
        """Whether the service can do what it is asked. When it fails, send requests elsewhere; no restart helps."""
        return await _probe(request, ready, _fault("not-ready", "Something that the service needs is not there."))

    @router.get("/metrics", response_class=PlainTextResponse, summary="Numbers for Prometheus")
    def metrics() -> Response:
        """Requests, consumers, outbox, parked keys, and what the service itself counts."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
