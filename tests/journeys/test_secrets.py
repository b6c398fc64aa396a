"""What opens a door is nowhere but with whom it was given to: not in a table, a topic, a log or a trace of the platform.

A real platform; everything that it has kept, sent and written down is read through.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.broker import admin, eventually, read_all

from tests.resilience.platform import CODE, PASSWORD, Platform, running_platform

BYTES = re.compile(r"\\\\x((?:[0-9a-f]{2})+)")
"""How JSON has bytes of PostgreSQL's."""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


TRACED = (b"covey-portal", b"POST /sign-on", b"covey-identity", b"POST /v1/access-codes/redemption")
"""In spans of what was done."""


@pytest.mark.timeout(300)
async def test_codes_passwords_and_tokens_are_in_no_table_topic_log_or_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector(monkeypatch) as sent:
        async with running_platform(tmp_path / ".covey", groups=1, portal=True) as platform:
            secrets = await use(platform)

            async def traced() -> bool:
                return all(any(each in body for body in sent) for each in TRACED)

            await eventually(traced)
            kept = await tables(platform) | await topics(platform.stack.infrastructure.kafka_settings) | logs(platform)
    kept["traces"] = "\n".join(body.decode("latin-1") for body in sent)

    assert any("access_code" in place for place in kept), "else it would prove nothing"
    assert any("covey.access-code.issued.v1" in place for place in kept)
    assert any("identity.log" in place for place in kept)
    assert {(name, place) for name, said in secrets.items() for place, text in kept.items() if said in text} == set()


@contextmanager
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Where a platform that is started in the block sends its traces: what has come, as it came (OTLP, not packed)."""
    sent: list[bytes] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: it would stand between the tests' lines."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield sent
        finally:
            server.shutdown()
            thread.join()


async def use(platform: Platform) -> dict[str, str]:
    """A code is sent, entered wrongly and rightly; a session is begun, by the pages too. What nobody else may read."""
    group, email = platform.group(), "canary@people.example"
    await platform.appoint(group, email)
    person = await platform.person(email)
    code = await platform.mailed(email, CODE)
    plain = code.replace("-", "").replace(" ", "")
    await platform.settled(
        "POST", "identity", "/v1/access-codes/redemption", by=person, json={"code": plain[::-1].lower()}
    )
    await platform.enter(person, plain.lower())
    user_id = (await platform.send("GET", "identity", "/v1/account", by=person)).json()["user_id"]
    account = {"user_id": user_id, "password": PASSWORD}
    session = (await platform.send("POST", "identity", "/v1/sessions", json=account)).json()["session_token"]
    portal = str(platform.stack.run["portal"])
    signed_on = await platform.http.post(
        f"{portal}/sign-on", data=account | {"next": "/"}, headers={"Origin": portal, "Sec-Fetch-Site": "same-origin"}
    )
    assert signed_on.status_code == 303, signed_on.text
    cookie = signed_on.headers["set-cookie"].partition("=")[2].partition(";")[0]
    await platform.http.get(f"{portal}/", headers={"Cookie": f"__Host-covey={cookie}"})
    return {
        "the code": plain,
        "the code as it is read": code,
        "the code as it was typed": plain.lower(),
        "the password": PASSWORD,
        "a session": session,
        "the session of the pages": cookie,
        "an access token": person.token,
    }


async def tables(platform: Platform) -> dict[str, str]:
    """Each table of each service, as text."""
    kept: dict[str, str] = {}
    for service in platform.stack.run["databases"]:
        connection = await asyncpg.connect(platform.stack.infrastructure.database_urls(service).worker)
        for (table,) in await connection.fetch(TABLES):
            rows = await connection.fetch(f"SELECT to_jsonb(kept)::text FROM {table} AS kept")
            kept[f"{service}: {table}"] = BYTES.sub(
                lambda found: bytes.fromhex(found[1]).decode("latin-1"), _lines(rows)
            )
        await connection.close()
    return kept


def _lines(rows: list[asyncpg.Record]) -> str:
    return "\n".join(row[0] for row in rows)


async def topics(kafka: KafkaSettings) -> dict[str, str]:
    """Each topic: keys, headers and values of its records."""
    async with admin(kafka) as client:
        assert isinstance(client, AIOKafkaAdminClient)
        names = [name for name in await client.list_topics() if not name.startswith("__")]
    kept = {}
    for name in names:
        records = await read_all(kafka, name)
        kept[name] = "\n".join(str((record.key, record.headers, record.value)) for record in records)
    return kept


def logs(platform: Platform) -> dict[str, str]:
    """What every process has written, but for the mail's own server: it has the mails."""
    return {path.name: path.read_text(errors="replace") for path in platform.stack.home.logs.glob("*.log")}
