"""Pages for paper: PDF/UA, from the same kind of templates."""

import asyncio
from typing import Any

from starlette.requests import Request

from covey_portal.calling import Json
from covey_portal.pages import render

_made: dict[str, bytes] = {}
_making = asyncio.Lock()


async def printable_form(request: Request) -> bytes:
    """The group officer's form (R-01), to be filled in by hand or in a reader of PDF files.

    It depends on nothing but the language and the settings: each is set once, and one at a time, since that takes a second
    of the processor and anybody may ask.
    """
    text = render(request, "request_form_print.html")
    async with _making:
        if text not in _made:
            _made[text] = await asyncio.to_thread(_set, text)
    return _made[text]


async def printable_record(request: Request, found: Json) -> bytes:
    """That a request was sent, when, and how far it is: for whoever has its reference number."""
    text = render(request, "request_record_print.html", found=found)
    async with _making:
        return await asyncio.to_thread(_set, text)


def _set(text: str) -> bytes:
    import weasyprint  # noqa: PLC0415 - it takes a second, and is for this alone

    made: Any = weasyprint.HTML(string=text, url_fetcher=_nothing).write_pdf(pdf_variant="pdf/ua-1", pdf_forms=True)
    document: bytes = made
    return document


def _nothing(url: str, *_: object, **__: object) -> Any:
    """What is printed has all in itself."""
    raise ValueError(f"nothing is fetched for a document: {url}")
