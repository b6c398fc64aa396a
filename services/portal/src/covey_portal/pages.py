"""How a page is made: a template, in the reader's language, with who they are and where they can go from here."""

import hashlib
from collections.abc import Mapping
from functools import cache, partial
from http import HTTPStatus
from importlib import resources
from typing import Any, cast
from zoneinfo import ZoneInfo

from covey_chassis.clock import Clock
from covey_chassis.problems import CORRELATION_ID, Fault
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from covey_portal import languages, words
from covey_portal.calling import Json
from covey_portal.forms import Form
from covey_portal.languages import N_, NAMES, Language
from covey_portal.navigation import navigation, waits_at
from covey_portal.searching import EVERYTHING
from covey_portal.settings import PortalSettings
from covey_portal.signed_on import SignedOn
from covey_portal.site import Site, said

LANGUAGE_COOKIE, THEME_COOKIE = "language", "theme"
THEMES = ("system", "light", "dark")
HTMX = "htmx-4.0.1.min.js"

ERRORS: Mapping[int, tuple[str, str]] = {
    403: (
        N_("You cannot do this here"),
        N_("The request did not come from a page of this site, or this is not yours."),
    ),
    404: (
        N_("There is nothing here"),
        N_("The address may be mistyped, or you no longer have access to what was here."),
    ),
    405: (N_("This cannot be done here"), N_("Go back to the page before, and try again.")),
    413: (N_("That was too much"), N_("What was sent is larger than we can take.")),
    503: (
        N_("We cannot do this right now"),
        N_("A part of our system is not answering. Wait a moment, go back, and send it again."),
    ),
}
UNEXPECTED = (N_("Something went wrong"), N_("It is our fault, and we have a record of it. Try again, or call us."))


@cache
def _environment(language: Language, zone: ZoneInfo) -> Environment:
    """Jinja's, for one language. A name that a template does not get is an error, never an empty place."""
    made = Environment(
        loader=PackageLoader("covey_portal"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(languages.translations(language), newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {
        "language": language,
        "languages": NAMES,
        "words": words,
        "navigation": navigation,
        "waits_at": waits_at,
        "all_transactions": EVERYTHING.address,
        "tr": partial(languages.sentence, language=language),
        "say": partial(said, language=language),
        "day": partial(languages.day, language=language),
        "moment": partial(languages.moment, language=language, zone=zone),
        "month": partial(languages.month, language=language),
        "numeral": partial(languages.numeral, language=language),
        "dollars": partial(languages.dollars, language=language),
    }
    return made


def language_of(request: Request) -> Language:
    return languages.chosen(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))


def settings_of(request: Request) -> PortalSettings:
    return cast("PortalSettings", request.app.state.settings)


def site_of(request: Request) -> Site:
    return cast("Site", request.app.state.site)


async def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page, or a part of one. What the navigation counts is asked for last: a page follows what changes after the first.

    Args:
        request: whose language, theme and sign-on it is made for.
        template: its file.
        status: HTTP's; by default 422 where ``form`` has complaints.
        values: what the template needs.
    """
    form = values.get("form")
    if isinstance(form, Form) and form.bad and status == HTTPStatus.OK:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    me = _me(request)
    is_part = "hx-request" in request.headers  # which has no navigation
    waiting = await me.waiting() if me and not is_part else None
    return HTMLResponse(render(request, template, waiting=waiting, **values), status)


def _me(request: Request) -> SignedOn | None:
    return getattr(request.state, "me", None)


def render(request: Request, template: str, *, waiting: Json | None = None, **values: Any) -> str:
    """The page's text. ``waiting`` is what the navigation counts, if that is known."""
    settings, site = settings_of(request), site_of(request)
    me = _me(request)
    theme = request.cookies.get(THEME_COOKIE, "")
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return (
        _environment(language_of(request), settings.zone)
        .get_template(template)
        .render(
            me=me,
            waiting=waiting,
            brand=settings.brand,
            static=static_addresses(settings),
            theme=theme if theme in THEMES else "system",
            path=request.url.path,
            method=request.method,
            here=here,
            region=site.region(me.who.market_region if me else ""),
            now=Clock.now(),
            **values,
        )
    )


def error_page(scope: Scope, fault: Fault) -> Response:
    """What went wrong, for people: what it means for them, and what they can do. It asks no service for anything."""
    request = Request(scope)
    title, text = ERRORS.get(fault.status, UNEXPECTED if fault.status >= 500 else ERRORS[405])
    reference = scope.get(CORRELATION_ID, "") if fault.status >= 500 else ""
    return HTMLResponse(render(request, "error.html", heading=title, text=text, reference=reference), fault.status)


# --- static files ---


def static_file(name: str, settings: PortalSettings) -> tuple[bytes, str] | None:
    """A file that browsers get, and what its content is known by; None when there is none of this name."""
    return _static_files(settings.accent, settings.accent_dark).get(name)


@cache
def _static_files(accent: str, accent_dark: str) -> Mapping[str, tuple[bytes, str]]:
    folder = resources.files("covey_portal") / "static"
    contents = {
        each.name: each.read_bytes() for each in folder.iterdir() if each.name.endswith((".css", ".js", ".svg"))
    }
    colours = f":root{{--accent:{accent};--accent-dark:{accent_dark}}}\n"
    contents["covey.css"] = colours.encode() + contents["covey.css"]
    return {name: (content, hashlib.sha256(content).hexdigest()[:12]) for name, content in contents.items()}


def static_addresses(settings: PortalSettings) -> Mapping[str, str]:
    """Where they are: the address changes with the content, so that browsers may keep them."""
    files = _static_files(settings.accent, settings.accent_dark)
    names = {"css": "covey.css", "js": "covey.js", "htmx": HTMX, "icon": "icon.svg"}
    return {key: f"/static/{name}?v={files[name][1]}" for key, name in names.items()}
