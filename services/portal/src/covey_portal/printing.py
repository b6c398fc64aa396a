"""Pages for paper: PDF/UA, from the same kind of templates."""

from typing import Any

from starlette.requests import Request

from covey_portal.pages import render


def printable_form(request: Request) -> bytes:
    """The group officer's form (R-01), to be filled in by hand or in a reader of PDF files."""
    import weasyprint  # noqa: PLC0415 - it takes a second, and is for this alone

    text = render(request, "request_form_print.html")
    made: Any = weasyprint.HTML(string=text, url_fetcher=_nothing).write_pdf(pdf_variant="pdf/ua-1", pdf_forms=True)
    document: bytes = made
    return document


def _nothing(url: str, *_: object, **__: object) -> Any:
    """What is printed has all in itself."""
    raise ValueError(f"nothing is fetched for a document: {url}")
