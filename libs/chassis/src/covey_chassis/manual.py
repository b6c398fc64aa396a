"""``/docs``: the service's OpenAPI document as one plain page, made here, that loads nothing from anywhere."""

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

STYLE = (
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}"
    "body{max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font:14px/1.4 ui-monospace,monospace}pre{overflow:auto}"
    "details{border-top:1px solid #8886;padding:.5rem 0}summary{cursor:pointer}"
    "td,th{padding:.1rem 1rem .1rem 0;text-align:left;vertical-align:top}"
)
_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)


def manual_routes() -> APIRouter:
    """The page."""
    router = APIRouter()

    @router.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    def docs(request: Request) -> HTMLResponse:
        page = "".join(_page(request.app.openapi()))
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    return router


def _page(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    title = escape(info["title"])
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    yield f"<h1>{title} {escape(info['version'])}</h1><p>{escape(info.get('summary', ''))}</p>"
    yield '<p>For programs: <a href="openapi.json">openapi.json</a></p>'
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            shown = "".join(_operation(path, method, operation))
            by_tag.setdefault(operation.get("tags", ["other"])[0], []).append(shown)
    for tag, entries in by_tag.items():
        yield f"<h2>{escape(tag)}</h2>{''.join(entries)}"
    yield "<h2>schemas</h2>"
    for name, schema in sorted(document.get("components", {}).get("schemas", {}).items()):
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>'
    yield "</html>"


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    heading = f"<code>{method.upper()} {escape(path)}</code> {escape(operation.get('summary', ''))}"
    yield f"<details><summary>{heading}</summary><p>{escape(operation.get('description', ''))}</p>"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<table><tr><th>parameter<th>in<th>required<th>meaning</tr>"
        for parameter in parameters:
            cells = (
                f"<code>{escape(parameter['name'])}</code>",
                parameter["in"],
                "yes" if parameter.get("required") else "no",
                escape(parameter.get("description", "")),
            )
            yield f"<tr><td>{'<td>'.join(cells)}</tr>"
        yield "</table>"
    if "requestBody" in operation:
        yield f"<h4>body</h4>{_json(operation['requestBody'].get('content', {}))}"
    yield "<h4>answers</h4><table>"
    for status, response in operation.get("responses", {}).items():
        content = _json(response["content"]) if "content" in response else ""
        yield f"<tr><td><code>{escape(status)}</code><td>{escape(response.get('description', ''))}{content}</tr>"
    yield "</table></details>"


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"
