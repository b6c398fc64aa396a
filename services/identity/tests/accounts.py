"""People and programs of tests: how they register, sign on, and what is kept of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
from covey_chassis.testing import Harness
from covey_contracts.identity import Letter, MailRequested
from sqlalchemy import event, text

PASSWORD = "seven quiet herons"
Body = dict[str, Any]


@dataclass(frozen=True)
class Somebody:
    """A person who has an account."""

    account_id: UUID
    user_id: str
    email: str
    password: str = PASSWORD


@dataclass(frozen=True)
class Session:
    """A session of theirs."""

    id: UUID
    token: str
    account_id: UUID


def command(**headers: str) -> dict[str, str]:
    """Headers of a command, with these besides: ``If_Match='"1"'``."""
    return {"Idempotency-Key": uuid4().hex} | {name.replace("_", "-"): value for name, value in headers.items()}


def applicant(**different: Any) -> Body:
    """What somebody registers with."""
    return {
        "market_region": "California",
        "first_name": "Ottoline",
        "last_name": "Farrow",
        "company": "Alderquist Benefits",
        "email": "ottoline@alderquist.example.org",
        "terms_version": "2026-01",
        "terms_accepted": True,
    } | different


async def ask(covey: Harness, **different: Any) -> httpx.Response:
    """The answer to a registration."""
    async with covey.client(None) as anybody:
        return await anybody.post("/v1/registrations", json=applicant(**different), headers=command())


async def letters(covey: Harness) -> list[tuple[MailRequested, Letter]]:
    """The mails that were asked for, opened as their listener would."""
    found = []
    for each in await covey.published(MailRequested):
        assert isinstance(each.event, MailRequested)
        found.append((each.event, covey.context.keyring.open(each.event.sealed, Letter)))
    return found


async def last_letter(covey: Harness) -> tuple[MailRequested, Letter]:
    """The mail that was asked for last."""
    return (await letters(covey))[-1]


async def purposes(covey: Harness) -> list[str]:
    """What mails were asked for, in turn."""
    return [mail.purpose for mail, _ in await letters(covey)]


async def token_for(covey: Harness, **different: Any) -> str:
    """Register, and read the mail."""
    assert (await ask(covey, **different)).status_code == 202
    token = (await letters(covey))[-1][1].token
    assert token
    return token


async def verify(covey: Harness, token: str, password: str = PASSWORD) -> httpx.Response:
    async with covey.client(None) as anybody:
        return await anybody.post("/v1/registrations/verification", json={"token": token, "password": password})


async def somebody(covey: Harness, email: str = "ottoline@alderquist.example.org", **different: Any) -> Somebody:
    """Somebody with a fresh account."""
    answer = await verify(covey, await token_for(covey, email=email, **different))
    assert answer.status_code == 201, answer.text
    return Somebody(UUID(answer.json()["account_id"]), answer.json()["user_id"], email)


async def sign_on(covey: Harness, user_id: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    async with covey.client(None) as anybody:
        return await anybody.post("/v1/sessions", json={"user_id": user_id, "password": password}, headers=headers)


async def session_of(covey: Harness, who: Somebody) -> Session:
    """They sign on."""
    answer = await sign_on(covey, who.user_id, who.password)
    assert answer.status_code == 201, answer.text
    said = answer.json()
    return Session(UUID(said["session_id"]), said["session_token"], UUID(said["account_id"]))


async def exchange(covey: Harness, session_token: str) -> httpx.Response:
    """The session's token for an access token."""
    async with covey.client(None) as anybody:
        return await anybody.post("/v1/tokens", headers={"Authorization": f"Bearer {session_token}"})


async def client_of(covey: Harness, session: Session) -> httpx.AsyncClient:
    """A client that presents the session's access token."""
    answer = await exchange(covey, session.token)
    assert answer.status_code == 200, answer.text
    client = covey.client(None)
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client


def comparable(answer: httpx.Response) -> tuple[int, Any, dict[str, str]]:
    """All of an answer that a stranger could tell another one from by, but for what differs each time."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-correlation-id")}
    if "covey-session-token" in headers:  # another one each time
        headers["covey-session-token"] = ""
    body = answer.json()
    body.pop("correlation_id", None)
    return answer.status_code, body, headers


async def run(covey: Harness, statement: str, **parameters: object) -> list[Any]:
    """Rows of a statement, or what it changed."""
    async with covey.transaction() as session:
        result = await session.execute(text(statement), parameters)
        return list(result.all()) if result.returns_rows else []


@contextmanager
def statements(covey: Harness) -> Iterator[list[str]]:
    """What the database is asked in the block, by requests and by the transactions of their own that they begin."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    engines = [pool.engine.sync_engine for pool in (covey.context.requests, covey.context.workers)]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


async def where_kept(covey: Harness, secret: str) -> list[str]:
    """Every table that has the secret in clear in any of its columns."""
    tables = await run(
        covey,
        "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
    assert len(tables) > 10
    shapes = (secret, secret.encode().hex(), json.dumps(secret)[1:-1])
    found = []
    for (table,) in tables:
        rows = await run(covey, f"SELECT kept::text FROM {table} AS kept")
        if any(shape in row[0] for row in rows for shape in shapes):
            found.append(table)
    return found
