"""Row-level security: a query that forgets its filter tells nothing of another group, and changes nothing there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest
from covey_chassis.access import InSight, Right, StaffRight, requires, see_all_groups, see_group, sees, signed_on, staff
from covey_chassis.access.checking import check_signed
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.access.signing import Signed
from covey_chassis.clock import Clock
from covey_chassis.db import make_engine
from covey_chassis.errors import NotFound
from covey_chassis.guarding import CannotGuard, Roles, check_roles, guard_groups
from covey_chassis.http import Session, service_router
from covey_chassis.ids import new_id
from covey_chassis.migrate import migrate
from covey_chassis.service import Service
from covey_chassis.testing import Harness
from covey_chassis.testing.broker import eventually
from covey_local.databases import Passwords, connected, create_databases, database_urls, drop_database
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

OURS, THEIRS = UUID("01a21e23-6972-7099-844f-dfaa586fe912"), UUID("01a21e23-a2f2-7765-9be8-fb8d5ff5ac36")
ROLES = Roles(owner="covey_chassis_owner", request="covey_chassis_request", worker="covey_chassis_worker")
TABLES = """
    CREATE TABLE note (id int PRIMARY KEY, group_id uuid NOT NULL, words text NOT NULL);
    CREATE TABLE "odd line" (id int, "the note" int REFERENCES note, words text NOT NULL, PRIMARY KEY ("the note", id));
    CREATE TABLE scrap (note int, line int, words text NOT NULL, FOREIGN KEY (note, line) REFERENCES "odd line");
    CREATE TABLE weather (id int PRIMARY KEY, words text NOT NULL);
    INSERT INTO weather VALUES (1, 'rain')
"""
SCRAPS = "SELECT words FROM scrap ORDER BY note"
NOTES, LINES = "SELECT words FROM note ORDER BY id", 'SELECT words FROM "odd line" ORDER BY id'
FIND, FIND_IN_ONE = "SELECT words FROM note WHERE words LIKE :part", "SELECT words FROM note WHERE :part <= words"
router = service_router(prefix="/v1")


@router.get("/groups/{group_id}/notes", dependencies=[requires(or_staff=(StaffRight.OPERATIONS,))])
async def read_notes(group_id: UUID, session: Session) -> list[str]:
    return list(await session.scalars(text(NOTES)))


@router.get("/notes", dependencies=[sees(or_staff=(StaffRight.OPERATIONS,))])
async def read_all(session: Session, sight: InSight) -> list[str]:
    return list(await session.scalars(text(NOTES)))


@router.get("/found", dependencies=[sees()])
async def find_in_all(session: Session, sight: InSight, part: str) -> list[str]:
    return list(await session.scalars(text(FIND), {"part": part}))


@router.get("/groups/{group_id}/found", dependencies=[requires()])
async def find_in_one(group_id: UUID, session: Session, part: str) -> list[str]:
    return list(await session.scalars(text(FIND_IN_ONE), {"part": part}))


@router.get("/lines", dependencies=[signed_on()])
async def read_lines(session: Session) -> list[str]:
    return list(await session.scalars(text(LINES)))


@router.get("/nothing", dependencies=[staff(StaffRight.OPERATIONS)])
async def refuse(session: Session) -> list[str]:
    raise NotFound


@router.get("/work", dependencies=[staff(StaffRight.OPERATIONS)])
async def read_work(session: Session) -> list[str]:
    return list(await session.scalars(text(NOTES)))


TOY = Service(name="chassis", summary="A toy with groups.", routers=[router])


@dataclass
class Toy:
    """The toy, with a note and a line in each of two groups."""

    harness: Harness
    owner: AsyncEngine

    def __getattr__(self, name: str):
        return getattr(self.harness, name)

    @asynccontextmanager
    async def as_request(self):
        """A transaction of the request role in which nobody was checked."""
        async with self.harness.context.requests.session() as session:
            yield session

    async def owner_waits(self) -> bool:
        """Whether a statement of the owner waits for a lock."""
        async with self.owner.connect() as connection:
            waiting = """
                SELECT 1 FROM pg_stat_activity
                 WHERE wait_event_type = 'Lock' AND usename = current_user AND datname = current_database()
            """
            return bool(await connection.scalar(text(waiting)))

    async def run(self, *statements: str) -> None:
        async with self.owner.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))


@pytest.fixture
async def toy(service_harness) -> AsyncIterator[Toy]:
    async with service_harness(TOY) as harness:
        owner = make_engine(harness.context.settings.owner_database_url.get_secret_value())
        toy = Toy(harness, owner)
        try:
            await toy.run(*TABLES.split(";\n"))
            await guard_groups(owner, ROLES)
            for id_, group in ((1, OURS), (2, THEIRS)):
                words = "ours" if group == OURS else "theirs"
                await toy.run(
                    f"INSERT INTO note VALUES ({id_}, '{group}', '{words}')",
                    f"INSERT INTO \"odd line\" VALUES ({id_}, {id_}, '{words}')",
                    f"INSERT INTO scrap VALUES ({id_}, {id_}, '{words}')",
                )
            yield toy
        finally:
            await owner.dispose()


# --- what a request sees ---


@pytest.mark.parametrize("query", [NOTES, LINES, SCRAPS])
async def test_who_was_not_checked_sees_nothing_of_groups_and_all_of_the_rest(toy: Toy, query: str) -> None:
    async with toy.as_request() as session:
        assert list(await session.scalars(text(query))) == []
        assert await session.scalar(text("SELECT words FROM weather")) == "rain"


async def test_a_query_without_a_filter_finds_the_rows_of_the_group_that_the_path_names(toy: Toy) -> None:
    async with await toy.person({OURS: [Right.BILLING_VIEW], THEIRS: [Right.BILLING_VIEW]}) as person:
        assert (await person.get(f"/v1/groups/{OURS}/notes")).json() == ["ours"]
        assert (await person.get(f"/v1/groups/{THEIRS}/notes")).json() == ["theirs"]


async def test_a_query_without_a_filter_finds_the_rows_of_the_groups_in_sight_where_none_is_named(toy: Toy) -> None:
    async with await toy.person({OURS: [Right.BILLING_VIEW]}) as person, await toy.person() as stranger:
        for path in ("/v1/notes", "/v1/lines"):
            assert (await person.get(path)).json() == ["ours"]
            assert (await stranger.get(path)).json() == []


async def test_what_is_looked_for_in_all_groups_in_sight_is_planned_for_whoever_looks(toy: Toy) -> None:
    """One has a group, another ten thousand: a plan that was good for the one would last a second for the other."""
    async with await toy.person({OURS: [Right.BILLING_VIEW]}) as person:
        for _ in range(10):  # PostgreSQL plans five times for the values, then once for all
            assert (await person.get("/v1/found", params={"part": "o%"})).json() == ["ours"]
            assert (await person.get(f"/v1/groups/{OURS}/found", params={"part": "o"})).json() == ["ours"]

    assert toy.context.requests.engine.pool.checkedin() == 1
    async with toy.as_request() as session:
        made = text("SELECT generic_plans FROM pg_prepared_statements WHERE statement LIKE '%' || :statement")
        assert await session.scalar(made, {"statement": "words LIKE $1"}) == 0
        assert await session.scalar(made, {"statement": "$1 <= words"}) == 5, "in one group it is alike for everybody"


async def test_staff_see_every_group_where_none_is_named_and_one_where_it_is(toy: Toy) -> None:
    async with await toy.staff_member(StaffRight.OPERATIONS) as member:
        for path in ("/v1/notes", "/v1/work"):
            assert (await member.get(path)).json() == ["ours", "theirs"]
        assert (await member.get(f"/v1/groups/{THEIRS}/notes")).json() == ["theirs"]
        assert (await member.get("/v1/lines")).json() == []  # anybody's route: nothing of it is for staff


async def test_a_right_of_staff_that_the_route_does_not_ask_for_shows_nothing(toy: Toy) -> None:
    async with await toy.staff_member(StaffRight.MESSAGES_MANAGE) as member:
        assert (await member.get("/v1/notes")).json() == []


async def test_what_was_seen_is_over_with_the_transaction_on_the_same_connection(toy: Toy) -> None:
    async with (
        await toy.person({OURS: [Right.BILLING_VIEW]}) as person,
        await toy.staff_member(StaffRight.OPERATIONS) as member,
    ):
        for client, path in ((person, f"/v1/groups/{OURS}/notes"), (member, "/v1/work"), (member, "/v1/nothing")):
            assert (await client.get(path)).status_code in (200, 404)
            assert toy.context.requests.engine.pool.checkedin() == 1
            async with toy.as_request() as session:
                assert await session.scalar(text("SELECT current_user")) == ROLES.request
                assert list(await session.scalars(text(NOTES))) == []


async def test_who_was_removed_sees_nothing_with_the_next_request(toy: Toy) -> None:
    account_id, grant = new_id(), new_id()
    fact = Fact(
        kind=FactKind.GRANT, id=grant, group_id=OURS, account_id=account_id, rights=("group.view",), active=True
    )
    await toy.know(fact)
    async with toy.client(account_id) as person:
        assert (await person.get("/v1/notes")).json() == ["ours"]
        await toy.know(fact.model_copy(update={"active": False}))
        assert (await person.get("/v1/notes")).json() == []


async def test_a_signed_command_sees_the_group_that_it_was_checked_for(toy: Toy) -> None:
    account_id, key_id = new_id(), new_id()
    await toy.know(Fact(kind=FactKind.KEY, id=key_id, account_id=account_id, rights=(), active=True))
    signed = Signed(account_id=account_id, key_id=key_id, command_id=new_id(), issued_at=Clock.now(), claims={})
    async with toy.as_request() as session:
        await check_signed(session, signed, THEIRS)
        assert list(await session.scalars(text(NOTES))) == ["theirs"]


async def test_all_groups_are_seen_until_it_is_known_which_one_it_was(toy: Toy) -> None:
    async with toy.as_request() as session:
        await see_all_groups(session)
        assert list(await session.scalars(text(NOTES))) == ["ours", "theirs"]
        await see_group(session, THEIRS)
        assert list(await session.scalars(text(NOTES))) == ["theirs"]
        await see_group(session, None)
        assert list(await session.scalars(text(NOTES))) == []


async def test_what_is_undone_takes_its_sight_with_it(toy: Toy) -> None:
    async with toy.as_request() as session:
        await see_group(session, OURS)
        async with session.begin_nested() as undone:
            await see_all_groups(session)
            await undone.rollback()
        assert list(await session.scalars(text(NOTES))) == ["ours"]
        async with session.begin_nested():
            await see_all_groups(session)
        assert list(await session.scalars(text(NOTES))) == ["ours", "theirs"]


# --- what it changes ---


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO note VALUES (3, '{THEIRS}', 'x')",
        "INSERT INTO \"odd line\" VALUES (3, 2, 'x')",
        f"UPDATE note SET group_id = '{THEIRS}'",
        'UPDATE "odd line" SET "the note" = 2',
    ],
)
async def test_nothing_is_written_into_another_group(toy: Toy, statement: str) -> None:
    async with toy.as_request() as session:
        await see_group(session, OURS)
        with pytest.raises(DBAPIError, match="row-level security"):
            await session.execute(text(statement))


async def test_what_is_of_another_group_is_neither_changed_nor_deleted(toy: Toy) -> None:
    async with toy.as_request() as session:
        await see_group(session, OURS)
        await session.execute(text("UPDATE note SET words = 'changed'"))
        await session.execute(text("DELETE FROM scrap"))
        await session.execute(text('DELETE FROM "odd line"'))
        await session.commit()
    async with toy.transaction() as worker:
        assert list(await worker.scalars(text(NOTES))) == ["changed", "theirs"]
        assert list(await worker.scalars(text(LINES))) == ["theirs"]


# --- guarding ---


async def test_what_is_guarded_already_is_left_alone_and_new_tables_are_guarded(toy: Toy) -> None:
    query = "SELECT xmin::text FROM pg_policy ORDER BY oid"
    async with toy.transaction() as worker:
        before = list(await worker.scalars(text(query)))
    await guard_groups(toy.owner, ROLES)
    async with toy.transaction() as worker:
        assert list(await worker.scalars(text(query))) == before
    await toy.run("CREATE TABLE later (group_id uuid)", f"INSERT INTO later VALUES ('{OURS}')")
    await guard_groups(toy.owner, ROLES)
    async with toy.as_request() as session:
        assert (await session.execute(text("SELECT 1 FROM later"))).all() == []


async def test_a_guard_that_was_switched_off_is_put_up_again(toy: Toy) -> None:
    await toy.run(
        "ALTER TABLE note DISABLE ROW LEVEL SECURITY",
        'DROP POLICY in_sight ON "odd line"',
        "DROP POLICY whole ON scrap",
    )
    await guard_groups(toy.owner, ROLES)
    async with toy.as_request() as session, toy.transaction() as worker:
        for query in (NOTES, LINES, SCRAPS):
            assert list(await session.scalars(text(query))) == []
        await see_group(session, OURS)
        for query in (NOTES, LINES, SCRAPS):
            assert list(await session.scalars(text(query))) == ["ours"]
            assert list(await worker.scalars(text(query))) == ["ours", "theirs"]


async def test_a_policy_that_was_left_without_its_role_is_made_again(toy: Toy) -> None:
    """As ``DROP OWNED`` leaves it, and a role that is made anew under its name."""
    await toy.run(f"ALTER POLICY whole ON note TO {ROLES.owner}", f"ALTER POLICY in_sight ON scrap TO {ROLES.worker}")
    await guard_groups(toy.owner, ROLES)
    async with toy.as_request() as session, toy.transaction() as worker:
        await see_group(session, OURS)
        assert list(await session.scalars(text(SCRAPS))) == ["ours"]
        assert list(await worker.scalars(text(NOTES))) == ["ours", "theirs"]


async def test_where_ways_of_different_lengths_lead_to_a_group_all_are_asked(toy: Toy) -> None:
    await toy.run(
        'CREATE TABLE knot (note int REFERENCES note, line int, owner int, FOREIGN KEY (owner, line) REFERENCES "odd line")'
    )
    await guard_groups(toy.owner, ROLES)
    await toy.run("INSERT INTO knot (note, owner, line) VALUES (1, 1, 1), (1, 2, 2), (2, 2, 2)")
    async with toy.as_request() as session:
        await see_group(session, OURS)
        assert [tuple(row) for row in await session.execute(text("SELECT note, owner FROM knot"))] == [(1, 1)]


async def test_tables_that_refer_to_each_other_are_guarded_by_the_way_that_leads_to_a_group(toy: Toy) -> None:
    await toy.run(
        "CREATE TABLE hen (id int PRIMARY KEY, note int REFERENCES note, egg int)",
        "CREATE TABLE egg (id int PRIMARY KEY, hen int REFERENCES hen)",
        "ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg",
    )
    await guard_groups(toy.owner, ROLES)
    await toy.run("INSERT INTO hen VALUES (1, 1), (2, 2)", "INSERT INTO egg VALUES (1, 1), (2, 2)")
    async with toy.as_request() as session:
        await see_group(session, OURS)
        assert list(await session.scalars(text("SELECT id FROM hen"))) == [1]
        assert list(await session.scalars(text("SELECT id FROM egg"))) == [1]


async def test_another_owner_sees_all_once_it_is_guarded_for_it(toy: Toy) -> None:
    await guard_groups(toy.owner, replace(ROLES, owner=ROLES.worker))
    async with toy.owner.connect() as connection:
        assert (
            list(await connection.scalars(text(NOTES))) == []
        )  # a version would have changed nothing, and not said so
    await guard_groups(toy.owner, ROLES)
    async with toy.owner.connect() as connection:
        assert list(await connection.scalars(text(NOTES))) == ["ours", "theirs"]


async def test_what_leads_to_no_group_any_more_is_let_go(toy: Toy) -> None:
    await toy.run('ALTER TABLE scrap DROP CONSTRAINT "scrap_note_line_fkey"')
    await guard_groups(toy.owner, ROLES)
    async with toy.as_request() as session:
        assert list(await session.scalars(text(SCRAPS))) == ["ours", "theirs"]
        assert list(await session.scalars(text(LINES))) == []


async def test_policies_of_its_own_outlast_those_that_are_let_go(toy: Toy) -> None:
    await toy.run(
        "CREATE POLICY own ON scrap USING (words = 'theirs')",
        'ALTER TABLE scrap DROP CONSTRAINT "scrap_note_line_fkey"',
    )
    await guard_groups(toy.owner, ROLES)
    async with toy.as_request() as session:
        assert list(await session.scalars(text(SCRAPS))) == ["theirs"]


async def test_a_table_that_is_in_use_is_waited_for(toy: Toy) -> None:
    await toy.run("ALTER TABLE note NO FORCE ROW LEVEL SECURITY")
    async with toy.transaction() as worker, asyncio.TaskGroup() as tasks:
        await worker.execute(text(NOTES))
        guarding = tasks.create_task(guard_groups(toy.owner, ROLES))
        await eventually(toy.owner_waits)
        assert not guarding.done()
        await worker.commit()
    async with toy.as_request() as session:
        assert list(await session.scalars(text(NOTES))) == []


async def test_rows_of_no_group_are_seen_by_the_worker_alone(toy: Toy) -> None:
    await toy.run(
        "ALTER TABLE note ALTER group_id DROP NOT NULL",
        "INSERT INTO note (id, words) VALUES (3, 'nobody''s')",
        "INSERT INTO scrap (words) VALUES ('nobody''s')",
    )
    async with toy.as_request() as session, toy.transaction() as worker:
        await see_group(session, OURS)
        for query in (NOTES, SCRAPS):
            assert list(await session.scalars(text(query))) == ["ours"]
            assert list(await worker.scalars(text(query))) == ["ours", "theirs", "nobody's"]


async def test_partitions_and_what_refers_to_a_partitioned_table_are_guarded(toy: Toy) -> None:
    await toy.run(
        "CREATE TABLE part (id int, group_id uuid, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (2)",
        "CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (2) TO (3)",
        "CREATE TABLE refers (id int REFERENCES part) PARTITION BY RANGE (id)",
        "CREATE TABLE refers_1 PARTITION OF refers FOR VALUES FROM (1) TO (2)",
        "CREATE TABLE refers_2 PARTITION OF refers FOR VALUES FROM (2) TO (3)",
    )
    await guard_groups(toy.owner, ROLES)
    await toy.run(
        f"INSERT INTO part VALUES (1, '{OURS}'), (2, '{THEIRS}')",
        "INSERT INTO refers VALUES (1), (2)",
    )
    async with toy.as_request() as session:
        await see_group(session, OURS)
        for table, seen in (
            ("part", [1]),
            ("part_1", [1]),
            ("part_2", []),
            ("refers", [1]),
            ("refers_1", [1]),
            ("refers_2", []),
        ):
            assert list(await session.scalars(text(f"SELECT id FROM {table}"))) == seen, table


async def test_a_table_of_the_same_name_elsewhere_changes_nothing(toy: Toy) -> None:
    await toy.run(
        "CREATE SCHEMA elsewhere",
        "CREATE TABLE elsewhere.weather (id int REFERENCES note)",
        "CREATE TABLE elsewhere.other (group_id uuid)",
    )
    await guard_groups(toy.owner, ROLES)
    async with toy.as_request() as session:
        assert await session.scalar(text("SELECT words FROM weather")) == "rain"


async def test_a_table_of_two_guarded_ones_is_seen_where_both_are(toy: Toy) -> None:
    await toy.run(
        "CREATE TABLE twin (id int PRIMARY KEY, group_id uuid)",
        "CREATE TABLE tie (a int REFERENCES note, b int REFERENCES twin)",
    )
    await guard_groups(toy.owner, ROLES)
    await toy.run(
        f"INSERT INTO twin VALUES (1, '{OURS}'), (2, '{THEIRS}')",
        "INSERT INTO tie VALUES (1, 1), (1, 2), (2, 1), (2, 2)",
    )
    async with toy.as_request() as session:
        await see_group(session, OURS)
        assert [tuple(row) for row in await session.execute(text("SELECT a, b FROM tie"))] == [(1, 1)]


# --- roles ---


@pytest.fixture
async def roles(toy: Toy, postgres: str) -> AsyncIterator[tuple[AsyncEngine, Roles]]:
    """Three roles of one's own to spoil, and the superuser."""
    names = Roles(owner="odd_owner", request='odd "request"', worker="odd_worker")
    quoted = ("odd_owner", '"odd ""request"""', "odd_worker")
    admin = make_engine(postgres).execution_options(isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        for name in quoted:
            await connection.execute(text(f"CREATE ROLE {name}"))
    yield admin, names
    async with admin.connect() as connection:
        for name in quoted:
            await connection.execute(text(f"DROP ROLE {name}"))
    await admin.dispose()


@pytest.mark.parametrize(
    ("statements", "refused"),
    [
        ([], 'GRANT "odd_worker" TO "odd ""request""" WITH INHERIT FALSE, SET TRUE;'),
        (["GRANT odd_worker TO {request}"], 'REVOKE "odd_worker" FROM'),
        (["GRANT odd_worker TO {request} WITH INHERIT FALSE, SET FALSE"], "SET TRUE"),
        (["GRANT odd_owner TO {request}"], 'REVOKE "odd_owner"'),
        (["GRANT odd_owner TO {request} WITH INHERIT FALSE, SET TRUE"], 'REVOKE "odd_owner"'),
        (["GRANT odd_owner TO odd_worker"], 'REVOKE "odd_owner" FROM odd_worker'),
        (["ALTER ROLE odd_worker SUPERUSER"], "odd_worker is SUPERUSER"),
        (["ALTER ROLE {request} BYPASSRLS"], "BYPASSRLS"),
        (["ALTER ROLE {request} SUPERUSER"], "SUPERUSER"),
        (["GRANT odd_worker TO {request} WITH INHERIT FALSE, SET TRUE"], None),
    ],
)  # fmt: skip
async def test_roles_by_which_nothing_would_be_kept_from_requests_are_refused(
    roles: tuple[AsyncEngine, Roles], statements: list[str], refused: str | None
) -> None:
    admin, names = roles
    async with admin.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement.format(request='"odd ""request"""')))
        if refused is None:
            await check_roles(connection, names)
        else:
            with pytest.raises(CannotGuard) as why:
                await check_roles(connection, names)
            assert refused in str(why.value)


async def test_one_role_for_requests_and_workers_is_refused(roles: tuple[AsyncEngine, Roles]) -> None:
    admin, names = roles
    async with admin.connect() as connection:
        pairs = (("request", "worker"), ("request", "owner"), ("worker", "owner"))
        for other in (replace(names, **{one: getattr(names, another)}) for one, another in pairs):
            with pytest.raises(CannotGuard, match="three roles"):
                await check_roles(connection, other)


async def test_a_migration_is_refused_before_it_changes_anything(postgres: str) -> None:
    urls = database_urls(postgres, "odd", Passwords.generate())
    await create_databases(postgres, urls)
    try:
        with pytest.raises(CannotGuard):
            await migrate(urls.owner, "covey_chassis", request_url=urls.worker, worker_url=urls.worker)
        async with connected(urls.owner) as owner:
            assert await owner.fetch("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
        await migrate(urls.owner, "covey_chassis", request_url=urls.request, worker_url=urls.worker)
        async with connected(urls.owner) as owner:
            assert await owner.fetchval("SELECT version_num FROM covey_chassis_version") == "0004"
    finally:
        await drop_database(postgres, urls.database)


VERSIONS = {
    "0001": "op.execute('CREATE TABLE note (id int PRIMARY KEY, group_id uuid NOT NULL, words text NOT NULL)')",
    "0002": """
    assert op.get_bind().exec_driver_sql(
        "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'note'::regclass"
    ).scalar(), "it is not guarded yet"
    op.execute("INSERT INTO note VALUES (1, gen_random_uuid(), 'a word')")
    assert op.get_bind().exec_driver_sql("UPDATE note SET words = 'another'").rowcount == 1
""",
}


async def test_each_version_meets_guarded_tables_and_changes_their_rows(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = tmp_path / "toy_with_versions" / "migrations" / "versions"
    versions.mkdir(parents=True)
    for folder in (versions, versions.parent, versions.parent.parent):
        (folder / "__init__.py").touch()
    before = None
    for revision, body in VERSIONS.items():
        (versions / f"{revision}_toy.py").write_text(
            f"from alembic import op\n\nrevision = {revision!r}\ndown_revision = {before!r}\nbranch_labels = None\n"
            f"depends_on = None\n\n\ndef upgrade():\n    {body.strip()}\n"
        )
        before = revision
    monkeypatch.syspath_prepend(str(tmp_path))
    urls = database_urls(postgres, "odd", Passwords.generate())
    await create_databases(postgres, urls)
    try:
        for _ in range(2):  # the second finds nothing to do
            await migrate(urls.owner, "toy_with_versions", request_url=urls.request, worker_url=urls.worker)
        async with connected(urls.owner) as owner:
            assert await owner.fetchval("SELECT words FROM note") == "another"
    finally:
        await drop_database(postgres, urls.database)
