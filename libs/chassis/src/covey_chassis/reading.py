"""What a request must be like before its route sees it: readable, of a media type that the route takes, storable.

PostgreSQL text holds no NUL and no lone surrogates, and JSON has neither NaN nor Infinity, whatever Python accepts.
"""

import json
import math
import re
from collections.abc import Iterator

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from covey_chassis.errors import FieldError, Invalid
from covey_chassis.problems import json_pointer

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_UNSTORABLE_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_NOT_TEXT = "holds a character that is not text (U+0000 or a lone surrogate)"


class ReadRequest(Request):
    """A request whose JSON is read strictly. FastAPI asks it for the body once more, and gets what was read."""

    _document: object = None
    _read = False

    async def json(self) -> object:
        """The body.

        Raises:
            Invalid: it is not JSON, or holds what cannot be stored.
        """
        if not self._read:
            self._document = parse_json(await self.body())
            self._read = True
        return self._document

    async def body(self) -> bytes:
        try:
            return await super().body()
        except ClientDisconnect as gone:
            raise HTTPException(400, "The connection was closed before the body was complete.") from gone


def check_address(request: Request) -> None:
    """Refuse NUL in path and query, where it would only fail in the database."""
    bad = [FieldError("path:", _NOT_TEXT)] if _UNSTORABLE.search(request.scope["path"]) else []
    bad += [
        FieldError(f"query:{name}", _NOT_TEXT)
        for name, value in request.query_params.multi_items()
        if _UNSTORABLE.search(name + value)
    ]
    if bad:
        raise Invalid(*bad)


def check_content_type(request: Request, *, form: bool) -> None:
    """Refuse a body that the route has no reader for, with 415."""
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    media_type = _media_type(request.headers.get("content-type", ""))
    if form:
        readable = media_type in ("multipart/form-data", "application/x-www-form-urlencoded")
    else:
        readable = bool(re.fullmatch(r"application/([\w.-]+\+)?json", media_type, re.ASCII))
    if has_body and not readable:
        takes = "multipart/form-data" if form else "application/json"
        raise HTTPException(415, f"This address reads {takes}.", headers={"Accept": takes})


def check_accept(request: Request, media_type: str) -> None:
    """Refuse a request that does not want what the route gives, with 406 and before anything is done."""
    wanted = [part for header in request.headers.getlist("accept") for part in header.split(",") if part.strip()]
    ranges = {_media_type(media_type), media_type.partition("/")[0] + "/*", "*/*"}
    if wanted and not any(
        _media_type(part) in ranges and not re.search(r";\s*q=0(\.0*)?\s*($|;)", part) for part in wanted
    ):
        raise HTTPException(406, f"This address gives {media_type}.")


def parse_json(raw: bytes) -> object:
    """Strict JSON.

    Raises:
        Invalid: with a pointer for every text that cannot be stored, or one for the whole document.
    """
    try:
        text = raw.decode()
        document = json.loads(text, parse_float=_finite, parse_constant=_not_json)
    except json.JSONDecodeError as error:
        raise Invalid(FieldError("", f"is not JSON: {error.msg} (character {error.pos})")) from error
    except UnicodeDecodeError as error:
        raise Invalid(FieldError("", f"is not UTF-8 (byte {error.start})")) from error
    except RecursionError as error:
        raise Invalid(FieldError("", "is nested too deeply")) from error
    except ValueError as error:
        raise Invalid(FieldError("", "holds a number that is out of range")) from error
    if _UNSTORABLE_ESCAPE.search(text):
        bad = [FieldError(json_pointer(path), _NOT_TEXT) for path in _unstorable(document)]
        if bad:
            raise Invalid(*bad)
    return document


def _unstorable(document: object) -> Iterator[tuple[str | int, ...]]:
    """The paths of texts that cannot be stored. A bad name is told of by the object that has it."""
    left: list[tuple[tuple[str | int, ...], object]] = [((), document)]
    while left:
        path, value = left.pop()
        match value:
            case str():
                if _UNSTORABLE.search(value):
                    yield path
            case list():
                left += [((*path, index), each) for index, each in enumerate(value)]
            case dict():
                if any(_UNSTORABLE.search(name) for name in value):
                    yield path
                left += [((*path, name), each) for name, each in value.items() if not _UNSTORABLE.search(name)]


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


def _not_json(constant: str) -> float:
    raise ValueError(constant)


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()
