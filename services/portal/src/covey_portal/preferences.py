"""What a browser remembers of how somebody wants their pages: language and colours. No secret is in it."""

from starlette.responses import Response

YEAR_S = 365 * 24 * 3600


def keep(response: Response, name: str, value: str) -> None:
    """In a cookie for a year."""
    response.set_cookie(name, value, max_age=YEAR_S, path="/", secure=True, httponly=True, samesite="lax")
