"""What passes by itself is told from what would fail again: every error here comes from a real server."""

import asyncio
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import sqlalchemy.exc
from covey_chassis.access import AccessUnverified, KeyNotRegistered, NotYours
from covey_chassis.clock import Clock
from covey_chassis.db import Database
from covey_chassis.errors import NotYet
from covey_chassis.testing.broker import eventually
from covey_chassis.transient import is_timeout, is_transient, sqlstate
from sqlalchemy import text


@pytest.fixture(scope="module")
async def toy(new_toy):
    """One for all tests here: errors leave nothing behind."""
    async with new_toy() as shared:
        yield shared


async def error_of(database, *statements):
    """What the last of the statements fails with, in one transaction."""
    async with database.session() as session:
        for statement in statements[:-1]:
            await session.execute(text(statement))
        try:
            await session.execute(text(statements[-1]))
            await session.commit()
        except Exception as error:  # whatever it is, is looked at
            return error
    raise AssertionError("nothing failed")


@pytest.fixture
def database(toy):
    return toy.context.workers


@pytest.mark.parametrize(("setting", "state"), [("statement_timeout", "57014"), ("transaction_timeout", "25P04")])
async def test_a_timeout_is_transient_and_a_timeout(database, setting, state):
    async with database.engine.connect() as connection:
        await connection.execute(text(f"SET {setting} = 20"))
        await connection.commit()

        with pytest.raises(sqlalchemy.exc.DBAPIError) as failed:
            await connection.execute(text("SELECT pg_sleep(5)"))
        await connection.invalidate()

    assert sqlstate(failed.value) == state
    assert is_timeout(failed.value)
    assert is_transient(failed.value)


async def test_a_session_that_was_idle_for_too_long_is_transient(database):
    async with database.engine.connect() as connection:
        await connection.execute(text("SET idle_in_transaction_session_timeout = 20"))
        backend = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar()
        await _gone(database, backend)

        with pytest.raises(sqlalchemy.exc.DBAPIError) as failed:
            await connection.execute(text("SELECT 1"))

    assert is_transient(failed.value)


async def _gone(database, backend):
    async with asyncio.timeout(10), database.session() as session:
        while await session.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid"), {"pid": backend}):
            await session.rollback()
            await asyncio.sleep(0.01)


async def test_a_lock_that_is_not_to_be_had_is_a_timeout(toy, database):
    await toy.execute("INSERT INTO note (said) VALUES ('1')")
    async with database.session() as holder:
        await holder.execute(text("SELECT * FROM note FOR UPDATE"))

        error = await error_of(database, "SET LOCAL lock_timeout = 5", "SELECT * FROM note FOR UPDATE")

    assert sqlstate(error) == "55P03"
    assert is_timeout(error)
    assert is_transient(error)


async def test_a_deadlock_is_transient(toy, database):
    one, other = [row.id for row in await toy.execute("INSERT INTO note (said) VALUES ('1'), ('2') RETURNING id")]
    met = asyncio.Barrier(2)

    async def lock(first, second):
        async with database.session() as session:
            await session.execute(text("SELECT * FROM note WHERE id = :id FOR UPDATE"), {"id": first})
            await met.wait()
            await session.execute(text("SELECT * FROM note WHERE id = :id FOR UPDATE"), {"id": second})

    (error,) = [e for e in await asyncio.gather(lock(one, other), lock(other, one), return_exceptions=True) if e]

    assert sqlstate(error) == "40P01"
    assert is_transient(error)
    assert not is_timeout(error)


async def test_a_serialization_failure_is_transient(toy, database):
    await toy.execute("INSERT INTO note (said) VALUES ('1')")
    async with database.session() as session:
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        await session.execute(text("SELECT * FROM note"))
        await toy.execute("UPDATE note SET said = '2'")

        with pytest.raises(sqlalchemy.exc.DBAPIError) as failed:
            await session.execute(text("UPDATE note SET said = '3'"))

    assert sqlstate(failed.value) == "40001"
    assert is_transient(failed.value)


async def test_a_connection_that_was_cut_is_transient(database):
    assert is_transient(await error_of(database, "SELECT 1", "SELECT pg_terminate_backend(pg_backend_pid())"))


async def test_a_connection_that_was_cut_while_idle_is_transient(toy, database):
    async with database.session() as session:
        backend = await session.scalar(text("SELECT pg_backend_pid()"))
        await toy.execute("SELECT pg_terminate_backend(:backend)", backend=backend)

        with pytest.raises(Exception) as failed:  # noqa: PT011 - which one is what is found out
            await session.execute(text("SELECT 1"))
        assert is_transient(failed.value)


async def test_what_is_tried_in_a_transaction_whose_connection_is_gone_is_transient(database):
    async with database.session() as session:
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

        with pytest.raises(sqlalchemy.exc.PendingRollbackError) as failed:
            await session.execute(text("SELECT 1"))

    assert is_transient(failed.value)


async def test_a_server_that_is_not_there_is_transient():
    nowhere = Database("postgresql://a:b@127.0.0.1:1/c", Clock(ZoneInfo("UTC")))

    with pytest.raises(OSError) as failed:  # noqa: PT011 - asyncio decides which
        async with nowhere.transaction() as session:
            await session.execute(text("SELECT 1"))

    assert is_transient(failed.value)


async def test_another_server_that_is_not_there_says_nothing_about_the_database():
    with pytest.raises(OSError) as failed:  # noqa: PT011 - asyncio decides which
        await asyncio.open_connection("127.0.0.1", 1)

    assert not is_transient(failed.value)


async def test_a_pool_that_has_no_connection_left_is_transient(toy):
    small = Database(toy.context.workers.url, toy.context.clock, pool_size=1)
    small.engine.pool._timeout = 0.01
    async with small.session() as holder:
        await holder.execute(text("SELECT 1"))

        error = await error_of(small, "SELECT 1")
    await small.close()

    assert isinstance(error, sqlalchemy.exc.TimeoutError)
    assert is_transient(error)
    assert not is_timeout(error)


async def test_a_connection_that_the_server_ended_while_nobody_used_it_is_replaced(toy):
    database = Database(toy.context.workers.url, toy.context.clock, pool_size=1)
    async with database.session() as session:
        backend = await session.scalar(text("SELECT pg_backend_pid()"))
        driver = (await (await session.connection()).get_raw_connection()).driver_connection
    assert await toy.execute("SELECT pg_terminate_backend(:backend)", backend=backend)

    async def heard() -> bool:
        return driver.is_closed()

    await eventually(heard)
    async with database.session() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) != backend
    await database.close()


async def test_a_plain_driver_connection_that_is_closed_is_transient(toy):
    connection = await asyncpg.connect(toy.context.workers.url)
    await connection.close()

    with pytest.raises(asyncpg.InterfaceError) as failed:
        await connection.execute("SELECT 1")

    assert is_transient(failed.value)


@pytest.mark.parametrize(
    "statement",
    ["SELECT 1 / 0", "SELECT nothing", "SELEC", "INSERT INTO promise VALUES (uuidv7())", "DROP TABLE gadget"],
)
async def test_what_would_fail_again_is_not_transient(database, statement):
    error = await error_of(database, statement)

    assert not is_transient(error)
    assert not is_timeout(error)


async def test_a_value_that_the_driver_cannot_send_is_not_transient(database):
    async with database.session() as session:
        with pytest.raises(sqlalchemy.exc.DBAPIError) as failed:
            await session.execute(text("SELECT CAST(:n AS int)"), {"n": 2**40})

    assert not is_transient(failed.value)


@pytest.mark.parametrize("error", [ValueError("the connection is closed"), KeyError(), TimeoutError(), OSError("disk")])
def test_an_error_of_our_own_is_not_transient(error):
    assert not is_transient(error)


def test_of_refusals_only_that_somebodys_right_cannot_be_verified_is_transient():
    assert is_transient(AccessUnverified())
    assert not is_timeout(AccessUnverified())
    assert not any(is_transient(refusal()) for refusal in (NotYet, NotYours, KeyNotRegistered))
