"""Traces, when ``OTEL_EXPORTER_OTLP_ENDPOINT`` says where they go, and the numbers that Prometheus reads of HTTP.

FastAPI makes its own spans once there is a tracer provider; addresses keep their path, which holds IDs only, and lose
their query, which may hold anything that was searched for.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fastapi.telemetry import TelemetryConfig
from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import Histogram

REQUEST_SECONDS = Histogram(
    "covey_http_request_duration_seconds",
    "From a request's first byte to its answer's last",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds: not traced, and logged only when they fail."""

FASTAPI = TelemetryConfig(
    metrics=False,
    logs=False,
    operation_spans=False,
    auto_configure=False,
    exclude=lambda scope: scope.get("path") in PROBES,
)
"""What FastAPI itself shall send: one span a request. Metrics and logs have their own ways."""


class WithoutQuery(SpanProcessor):
    """Takes the query out of every span before anything is sent."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if span.attributes and "url.query" in span.attributes:
            span.set_attribute("url.query", "REDACTED")


def configure_tracing(service: str) -> None:
    """Send spans by OTLP over HTTP, if the environment says where to. Once a process."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - slow to import

    provider = TracerProvider(resource=Resource.create({"service.name": f"covey-{service}"}))
    provider.add_span_processor(WithoutQuery())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def current_trace_id() -> str | None:
    """The trace that this task belongs to, in hexadecimal."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else None


@contextmanager
def caller_trace(headers: Mapping[str, str]) -> Iterator[None]:
    """Hand the caller's trace on to the events of this request, also where no spans of ours are made."""
    if trace.get_current_span().get_span_context().is_valid:
        yield
        return
    token = context.attach(propagate.extract(headers))
    try:
        yield
    finally:
        context.detach(token)
