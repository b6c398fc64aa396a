"""What a client holds for known, for refused and for unknown: everything else is judged by that."""

import asyncio
import random
import re

import httpx
import pytest

from . import client as clients
from .client import Client, Office
from .history import History, read_histories
from .roles import _remove

DROPPED = "dropped"
IN_PROGRESS = httpx.Response(409, json={"code": "command-in-progress"})
STALE = httpx.Response(412, json={"code": "stale-version"})


class Server:
    """Answers as it is told to, and looks into the history at each request."""

    def __init__(self, file, *answers) -> None:
        self.file = file
        self.answers = list(answers)
        self.asked = []
        self.noted = []

    def __call__(self, request):
        if request.url.path == "/v1/tokens":
            return httpx.Response(200, json={"access_token": "a token", "expires_in": 300})
        self.asked.append(request)
        self.noted.append(read_histories([self.file]))
        answer = self.answers.pop(0)
        if answer is DROPPED:
            raise httpx.ReadError("the connection broke")
        return answer if isinstance(answer, httpx.Response) else httpx.Response(answer, json={})


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """What comes of an operation whose attempts are answered so: the server, and the operation as it is in the history."""
    monkeypatch.setattr(clients, "PAUSE_MIN_S", 0.01)
    file = tmp_path / "history.jsonl"
    account = {"user_id": "a00001", "password": "a password"}
    plan = {"services": dict.fromkeys(("identity", "membership"), "http://service.test"), "cast": {"sessions": {}}}
    plan["cast"]["sessions"]["a00001"] = "a session"

    async def ask(*answers, kind="group.change", insistence=1.0, **options):
        monkeypatch.setattr(clients, "INSISTENCE", insistence)
        server = Server(file, *answers)
        async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
            with History(file) as history:
                office = Office(plan, history, http, {})
                client = Client(office, "a client", account, rng=random.Random(1), pace_s=0.01)
                await client.ask(kind, "PATCH", "membership", "/v1/groups/a", subject="a", **options)
        (op,) = read_histories([file])
        return server, op

    return ask


@pytest.mark.parametrize(
    ("answers", "outcome", "status", "attempts"),
    [
        ([200], "ok", 200, 1),
        ([202], "ok", 202, 1),
        ([STALE], "fail", 412, 1),
        ([403], "fail", 403, 1),
        ([503, 200], "ok", 200, 2),
        ([DROPPED, DROPPED, 200], "ok", 200, 3),
        ([IN_PROGRESS, 200], "ok", 200, 2),
        ([DROPPED, STALE], "unknown", 412, 2),
        ([503, 403], "unknown", 403, 2),
        ([IN_PROGRESS, STALE], "unknown", 412, 2),
    ],
)
async def test_how_an_operation_ends(asking, answers, outcome, status, attempts):
    server, op = await asking(*answers)

    assert (op.outcome, op.status, op.attempts) == (outcome, status, attempts)
    assert not server.answers


async def test_all_attempts_have_one_key_which_is_the_operations_id(asking):
    server, op = await asking(DROPPED, 503, 200)

    assert {request.headers["Idempotency-Key"] for request in server.asked} == {op.id}
    assert {request.headers["X-Correlation-ID"] for request in server.asked} == {op.id}
    assert re.fullmatch(r"[0-9a-f]{32}", op.id)


async def test_it_is_written_down_before_it_is_sent(asking):
    server, op = await asking(200)

    ((noted,),) = server.noted
    assert (noted.id, noted.outcome, noted.finished_at) == (op.id, "unknown", None)


async def test_some_do_not_insist(asking):
    _, op = await asking(503, insistence=0.0)

    assert (op.outcome, op.attempts) == ("unknown", 1)


async def test_nobody_insists_on_a_read(asking):
    server, op = await asking(503, kind="read")

    assert (op.outcome, op.attempts) == ("unknown", 1)
    assert "Idempotency-Key" not in server.asked[0].headers


async def test_the_last_attempt_tells_when_it_was_sent(asking):
    _, op = await asking(DROPPED, 200)

    assert op.invoked_at < op.sent_at < op.finished_at


async def test_what_a_refusal_tells_is_told(asking):
    _, op = await asking(STALE, tells=lambda answer: answer.status_code == 412)

    assert (op.outcome, op.shows, op.said) == ("fail", True, "stale-version")


async def test_a_removal_is_true_from_the_answer_on_that_says_so(tmp_path):
    """Not from the end of the pause after it: what is answered meanwhile is a breach."""

    class Away:
        def acquire(self):
            raise OSError

    pending = httpx.Response(202, json={"status": "pending"}, headers={"Location": "/v1/changes/1"})
    server = Server(tmp_path / "history", pending, httpx.Response(200, json={"status": "removed", "how": "silence"}))
    plan = {"services": {"identity": "http://service.test"}, "cast": {"sessions": {"a00001": "a session"}}}
    account = {"user_id": "a00001", "password": "a password"}
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
        with History(server.file) as history:
            office = Office(plan, history, http, {"membership": Away()})
            primary = Client(office, "a client", account, rng=random.Random(1), pace_s=0.3)
            await _remove(primary, {"group": {"id": "a"}, "user": {"account_id": "them"}}, "a grant")

    removal, look = read_histories([server.file])
    assert (removal.kind, removal.shows, removal.said) == ("remove", True, "silence")
    assert removal.finished_at == look.finished_at


async def test_who_is_not_answered_in_time_does_not_know(asking):
    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self):
            await asyncio.sleep(60)
            yield b""

    silent = httpx.Response(200, stream=Silent())
    _, op = await asking(silent, 200, answer_s=0.05)

    assert (op.outcome, op.attempts) == ("ok", 2)


async def test_pieces_of_a_stream_are_noted_when_they_come_and_its_end_is_none(tmp_path):
    said = b"event: access\ndata: {}\n\n:\n\nevent: ended\ndata: {}\n\n:\n\n"
    plan = {"services": dict.fromkeys(("identity", "renewals"), "http://service.test")}
    plan["cast"] = {"sessions": {"a00001": "a session"}}
    account = {"user_id": "a00001", "password": "a password"}
    server = Server(tmp_path / "history", httpx.Response(200, content=said), httpx.Response(403, content=said))
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
        with History(server.file) as history:
            watcher = Client(Office(plan, history, http, {}), "a client", account, rng=random.Random(1), pace_s=0.01)
            for _ in range(2):
                await watcher.watch("renewals", "/v1/groups/a/access/events", seconds=5, subject="a", person="them")

    pieces = read_histories([server.file])
    assert [(op.kind, op.service, op.subject, op.person, op.shows) for op in pieces] == [
        ("watch", "renewals", "a", "them", True)
    ] * 2
