"""What the proxies do to connections is what they say that they do."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pytest
from covey_chassis.testing.broker import eventually

from tests.resilience.faults.links import BLACKHOLE, HALF_OPEN, RESET, Proxies, reset_every, slow

QUIET_S = 0.3
"""So long nothing comes of what is held back."""


@asynccontextmanager
async def echo():
    """A server that says again what it hears, and what it has heard."""
    heard = bytearray()

    async def answer(reader, writer):
        while said := await reader.read(1000):
            heard.extend(said)
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


@pytest.fixture
async def linked():
    """The links, a way to open a connection by ``renewals>kafka``, and what the server has heard."""
    links, open_ = Proxies(), []
    async with echo() as (port, heard):

        async def connect(user="renewals", target="kafka"):
            reader, writer = await asyncio.open_connection("127.0.0.1", await links.port(user, target, port))
            open_.append(writer)
            return reader, writer

        yield links, connect, heard
        for writer in open_:
            writer.transport.abort()
        await links.close()


async def says(connection, words=b"hello"):
    reader, writer = connection
    writer.write(words)
    return await asyncio.wait_for(reader.readexactly(len(words)), 5)


async def is_reset(connection):
    reader, _ = connection
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 5)


async def hears_nothing(connection):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection[0].read(1), QUIET_S)


async def test_a_link_passes_everything(linked):
    _, connect, heard = linked
    connection = await connect()
    large = bytes(range(256)) * 4000

    assert await says(connection, large) == large
    assert bytes(heard) == large


async def test_two_users_have_links_of_their_own_and_a_pattern_strikes_only_those_it_names(linked):
    links, connect, _ = linked
    mine, others = await connect("renewals", "kafka"), await connect("identity", "kafka")
    assert (await says(mine), await says(others)) == (b"hello", b"hello")
    links.set("renewals>*", RESET)

    await is_reset(mine)
    assert await says(others) == b"hello"


async def test_a_pattern_that_names_no_link_is_a_mistake_of_the_test(linked):
    links, connect, _ = linked
    await connect()

    with pytest.raises(AssertionError, match="no link is renewal>kafka"):
        links.set("renewal>kafka", RESET)


async def test_what_a_blackhole_holds_back_arrives_when_it_is_healed(linked):
    links, connect, heard = linked
    connection = await connect()
    await says(connection)
    links.set("*>kafka", BLACKHOLE)
    connection[1].write(b"later")
    await hears_nothing(connection)
    assert bytes(heard) == b"hello"
    links.heal()

    assert await asyncio.wait_for(connection[0].readexactly(5), 5) == b"later"


async def test_a_new_connection_through_a_blackhole_is_silent_until_it_is_healed(linked):
    links, connect, heard = linked
    await connect()
    links.set("*", BLACKHOLE)
    connection = await connect()
    connection[1].write(b"hello")
    await hears_nothing(connection)
    assert not heard
    links.heal()

    assert await asyncio.wait_for(connection[0].readexactly(5), 5) == b"hello"


async def test_through_a_half_open_link_one_is_heard_and_hears_nothing(linked):
    links, connect, heard = linked
    connection = await connect()
    await says(connection)
    links.set("*", HALF_OPEN)
    connection[1].write(b"again")
    await hears_nothing(connection)

    assert bytes(heard) == b"helloagain"


async def test_a_link_that_resets_refuses_also_new_connections(linked):
    links, connect, _ = linked
    connection = await connect()
    await says(connection)
    links.set("*", RESET)

    await is_reset(connection)
    await is_reset(await connect())
    links.heal()
    assert await says(await connect()) == b"hello"


async def test_connections_are_reset_again_and_again_and_new_ones_are_taken(linked):
    links, connect, _ = linked
    await connect()
    links.set("*", reset_every(0.1))

    async def is_taken():
        try:
            return await says(await connect()) == b"hello"
        except (ConnectionError, asyncio.IncompleteReadError):
            return False

    for _ in range(3):
        await is_reset(await connect())
    await eventually(is_taken)


async def test_a_slow_link_is_slow_both_ways_keeps_the_order_and_lets_pieces_follow_each_other(linked):
    links, connect, _ = linked
    connection = await connect()
    await says(connection)
    links.set("*", slow(0.2, 0.1))
    began = time.monotonic()
    for number in range(20):
        connection[1].write(b"%02d" % number)
        await asyncio.sleep(0.01)
    answer = await asyncio.wait_for(connection[0].readexactly(40), 5)
    took_s = time.monotonic() - began

    assert answer == b"".join(b"%02d" % number for number in range(20))
    assert took_s > 0.2, "each way takes 0.1 s at least"
    assert took_s < 20 * 0.2, "no piece waits until the one before has arrived"


@pytest.mark.parametrize("mode", [BLACKHOLE, HALF_OPEN, RESET, slow(0.01), reset_every(10)])
async def test_a_mode_has_struck_when_something_came_by(linked, mode):
    links, connect, _ = linked
    connection = await connect()
    await says(connection)
    with pytest.raises(AssertionError, match="nothing came by \\*>kafka"):
        links.have_struck("*>kafka")

    links.set("*", mode)
    connection[1].write(b"again")

    async def has_struck():
        with suppress(AssertionError):
            links.have_struck("*>kafka")
            return True
        return False

    await eventually(has_struck)


async def test_a_mode_that_met_nothing_has_not_struck(linked):
    links, connect, _ = linked
    connection = await connect()
    await says(connection)
    links.set("*", BLACKHOLE)
    links.heal()
    await says(connection)

    with pytest.raises(AssertionError, match="it did not strike"):
        links.have_struck("*>kafka")


async def test_nobody_listens_yet_at_the_end_of_a_link(linked):
    links, _, _ = linked
    async with echo() as (port, _):
        pass
    connection = await asyncio.open_connection("127.0.0.1", await links.port("renewals", "postgres", port))

    await is_reset(connection)
    connection[1].close()
