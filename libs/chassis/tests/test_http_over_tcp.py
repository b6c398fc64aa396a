"""What only a real server and a real socket show."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from covey_chassis.app import create_app
from covey_chassis.service import Service
from covey_chassis.serving import server_config


@pytest.fixture(scope="module")
async def toy(new_toy):
    """One for all tests here: each has commands of its own."""
    async with new_toy() as shared:
        yield shared


@asynccontextmanager
async def served(toy, routers, **settings):
    """The toy as it is served: its address."""
    app = create_app(Service(name="chassis", summary="", routers=routers), toy.context)
    settings = toy.context.settings.model_copy(update={"http_port": 0, **settings})
    running = uvicorn.Server(server_config(app, settings))
    serving = asyncio.create_task(running.serve())
    async with asyncio.timeout(10):
        while not running.started:
            await asyncio.sleep(0.01)
    yield running.servers[0].sockets[0].getsockname()
    running.should_exit = True
    await serving


@pytest.fixture
async def server(toy, routers):
    async with served(toy, routers) as address:
        yield address


@pytest.fixture
async def api(server):
    async with httpx.AsyncClient(base_url="http://{}:{}".format(*server)) as client:
        yield client


@asynccontextmanager
async def socket(server):
    reader, writer = await asyncio.open_connection(*server)
    try:
        yield reader, writer
    finally:
        writer.close()


async def said(server, request):
    """The status, the headers and the document that a hand-written request gets."""
    async with asyncio.timeout(10), socket(server) as (reader, writer):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head.split()[1])
        headers = httpx.Headers([line.split(": ", 1) for line in head.split("\r\n")[1:] if line])
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return status, headers, body


async def test_a_command_is_done_and_repeated_over_tcp(api, toy):
    answers = [
        await api.post("/v1/gadgets", json={"name": "Ada", "size": 1}, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert [answer.headers.get_list("content-length") for answer in answers] == [[str(len(answers[0].content))]] * 2


async def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(server):
    status, headers, body = await said(
        server,
        b"POST /v1/odd/notes HTTP/1.1\r\nHost: covey\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n{",
    )

    assert (status, headers["content-type"]) == (413, "application/problem+json")
    assert json.loads(body)["code"] == "content-too-large"


async def test_a_failure_of_ours_is_answered_and_the_connection_goes_on(api):
    first = await api.post("/v1/odd/faults/bug")
    second = await api.get("/v1/gadgets")

    assert (first.status_code, second.status_code) == (500, 200)
    assert first.headers["content-type"] == "application/problem+json"


async def test_a_client_that_goes_away_in_the_middle_of_its_body_changes_nothing(server, toy):
    before = await toy.count("note")
    async with socket(server) as (_, writer):
        writer.write(
            b"POST /v1/odd/notes HTTP/1.1\r\nHost: covey\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        await writer.drain()

    async with httpx.AsyncClient(base_url="http://{}:{}".format(*server)) as api:
        assert (await api.get("/v1/gadgets")).status_code == 200
    assert await toy.count("note") == before
    assert toy.context.requests.engine.pool.checkedout() == 0


@pytest.mark.parametrize("host", ["", "[", "a b", "x" * 300, "covey:99999"])
async def test_an_odd_host_is_no_failure_of_ours(server, host):
    status, _, _ = await said(
        server, b"POST /v1/odd/promises HTTP/1.1\r\nHost: " + host.encode() + b"\r\nContent-Length: 0\r\n\r\n"
    )

    assert status == 400  # the key is missing


@pytest.mark.parametrize("path", ["/%ff", "/v1/gadgets/%00", "/v1/gadgets?name=%ff&limit=%00", "/v1/gadgets/%2e%2e/x"])
async def test_an_odd_address_is_no_failure_of_ours(server, path):
    status, headers, _ = await said(server, f"GET {path} HTTP/1.1\r\nHost: covey\r\n\r\n".encode())

    assert status in (404, 422)
    assert headers["content-type"] == "application/problem+json"


async def test_a_stream_is_sent_after_its_transaction(api):
    assert (await api.get("/v1/odd/stream")).text == "0;0;"


@pytest.mark.parametrize(
    ("trusted", "origin"),
    [("", "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1", "203.0.113.7"), ("127.0.0.0/8", "203.0.113.7")],
)
async def test_where_a_request_came_from_is_believed_of_trusted_proxies_alone(toy, routers, trusted, origin):
    async with served(toy, routers, trusted_proxies=trusted) as (host, port), httpx.AsyncClient() as client:
        answer = await client.get(f"http://{host}:{port}/v1/odd/origin", headers={"X-Forwarded-For": "203.0.113.7"})

    assert answer.json() == origin
