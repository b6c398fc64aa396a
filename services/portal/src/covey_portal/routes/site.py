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
async def read_static(request: Request, name: str) -> Response:
    """Their addresses change with their content: a browser asks once."""
    content = static_file(name)
    if content is None:
        raise HTTPException(404)
    if name == "covey.css":
        settings = settings_of(request)
        content = f":root{{--accent:{settings.accent};--accent-dark:{settings.accent_dark}}}\n".encode() + content
    suffix = name[name.rindex(".") :]
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(content, media_type=MEDIA_TYPES[suffix], headers=headers)


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
