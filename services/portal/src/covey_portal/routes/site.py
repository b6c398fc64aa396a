"""What belongs to no capability: files that browsers keep, language and colours, probes."""

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from covey_portal.forms import Form
from covey_portal.languages import LANGUAGES
from covey_portal.pages import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, settings_of, static_file
from covey_portal.preferences import keep
from covey_portal.signed_on import local

router = APIRouter()

MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@router.get("/static/{name}")
async def read_static(request: Request, name: str, v: str = "") -> Response:
    """Their addresses change with their content: a browser asks once, unless it is for another release's content."""
    found = static_file(name, settings_of(request))
    if found is None:
        raise HTTPException(404)
    content, version = found
    kept = "public, max-age=31536000, immutable" if v == version else "no-cache"
    suffix = name[name.rindex(".") :]
    return Response(content, media_type=MEDIA_TYPES[suffix], headers={"Cache-Control": kept})


@router.post("/language")
async def choose_language(request: Request) -> Response:
    return await _choose(request, "language", LANGUAGE_COOKIE, LANGUAGES)


@router.post("/theme")
async def choose_theme(request: Request) -> Response:
    return await _choose(request, "theme", THEME_COOKIE, THEMES)


async def _choose(request: Request, name: str, cookie: str, choices: tuple[str, ...]) -> Response:
    form = await Form.read(request)
    response = RedirectResponse(local(form["back"]), 303)
    if form[name] in choices:
        keep(response, cookie, form[name])
    return response
