"""PostgreSQL keeps groups apart in every service, asked of its catalogue once all migrations have run."""

import importlib
import re
from pathlib import Path

import pytest
from covey_chassis.db import make_engine
from covey_chassis.guarding import OPEN
from covey_chassis.service import Service
from covey_chassis.testing import NewDatabase
from covey_local import topology
from sqlalchemy import text

SERVICES: list[Service] = [importlib.import_module(f"{service.package}.app").service for service in topology.SERVICES]
by_name = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)

GUARDED = {
    "identity": {
        "group_copy",
        "appointment",
        "access_grant",
        "access_code",
        "exclusion",
        "access_request",
        "access_change",
    },
    "membership": {"covered_group", "billing_unit", "group_plan", "taken_approval"},
    "notifications": {"group_copy", "notification", "appointment_copy"},
    "renewals": {"book", "renewal", "appointment", "transaction_copy"},
    "transactions": {"group_copy", "group_plan", "renewal_copy", "transaction", "round"},
}
"""By hand: what a service has of groups is seen here, and so is what comes to be guarded, or no longer is."""

DIRECT = (
    "((group_id = ( SELECT sight_group() AS sight_group)) OR (group_id IN ( SELECT sight_groups() AS sight_groups)))"
)
"""As PostgreSQL writes down what a request sees of a table that names the group itself."""

TABLES = """
    SELECT class.oid, class.relname AS name, CAST(class.relkind AS text) AS kind,
           class.relrowsecurity AND class.relforcerowsecurity AS forced,
           EXISTS (SELECT FROM pg_attribute AS a
                    WHERE a.attrelid = class.oid AND a.attname = 'group_id' AND NOT a.attisdropped) AS has_group,
           ARRAY(SELECT confrelid FROM pg_constraint WHERE conrelid = class.oid AND contype = 'f') AS parents
      FROM pg_class AS class
     WHERE class.relnamespace = 'public'::regnamespace AND class.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
POLICIES = """
    SELECT tablename, policyname, roles::text[], cmd, permissive, qual, with_check
      FROM pg_policies WHERE schemaname = 'public' ORDER BY 1, 2
"""


@by_name
async def test_every_table_of_groups_is_guarded_against_the_request_role(
    service: Service, new_database: NewDatabase
) -> None:
    owner, request, worker = (f"covey_{service.name}_{role}" for role in ("owner", "request", "worker"))
    async with new_database(service.package) as urls:
        engine = make_engine(urls.owner)
        async with engine.connect() as connection:
            tables = (await connection.execute(text(TABLES))).all()
            policies = (await connection.execute(text(POLICIES))).all()
        await engine.dispose()
    guarded = {row.name: row for row in tables if row.forced}
    assert set(guarded) == GUARDED[service.name]
    assert {row.name for row in tables if row.kind != "r"} == {"access_held"}, "a view goes round the policies"
    assert {row.name for row in tables if row.has_group} == {n for n, t in guarded.items() if t.has_group} | OPEN | {
        "access_held"
    }
    numbers = {row.oid for row in guarded.values()}
    assert not [row.name for row in tables if numbers.intersection(row.parents) and row.name not in guarded]

    for row in policies:
        assert (row.cmd, row.permissive, row.with_check) == ("ALL", "PERMISSIVE", None), row
        match row.policyname:
            case "whole":
                assert (sorted(row.roles), row.qual) == (sorted([owner, worker]), "true"), row
            case "in_sight":
                assert row.roles == [request], row
                qual = " ".join(row.qual.split())
                assert qual == DIRECT if guarded[row.tablename].has_group else qual.startswith("(EXISTS"), row
            case own:
                assert (row.tablename, own, row.qual) == ("access_request", "of_no_group", "(group_id IS NULL)"), row
    assert {(row.tablename, row.policyname) for row in policies} >= {
        (name, policy) for name in guarded for policy in ("whole", "in_sight")
    }


@by_name
async def test_no_role_of_a_service_goes_round_the_policies(service: Service, new_database: NewDatabase) -> None:
    async with new_database(service.package) as urls:
        engine = make_engine(urls.owner)
        async with engine.connect() as connection:
            roles = await connection.execute(
                text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'covey%' AND (rolsuper OR rolbypassrls)")
            )
            assert roles.all() == []
            owned = await connection.execute(
                text("SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) = ANY(:roles)"),
                {"roles": [f"covey_{service.name}_{role}" for role in ("request", "worker")]},
            )
            assert owned.all() == []
            definers = "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
            assert (await connection.execute(text(definers))).all() == []
        await engine.dispose()


SEES_ALL = {
    "identity/http/own_access.py",
    "identity/http/requests.py",
    "identity/use_cases/redeem_code.py",
    "transactions/use_cases/answer_command.py",
}
AS_WORKER = {
    "identity/attempts.py",
    "identity/audit.py",
    "identity/codes.py",
    "identity/confirming.py",
    "identity/http/changes.py",
    "identity/progress.py",
    "identity/use_cases/create_staff.py",
}
"""In the course of requests, with a connection of their own: counts and refusals that outlive the request, codes by their
drawer, how far a change is."""
BESIDE_REQUESTS = {
    "identity/audit_chain.py",
    "identity/feed.py",
    "identity/signals.py",
    "identity/use_cases/forget_expired.py",
    "membership/workers.py",
    "notifications/workers.py",
    "renewals/workers.py",
}


def test_every_way_round_the_policies_is_known_and_says_why() -> None:
    """Which modules see all groups in a request, or use the worker's connections in one: by hand."""
    sees_all, as_worker = set(), set()
    for service in SERVICES:
        (folder,) = importlib.import_module(service.package).__path__
        for path in Path(folder).rglob("*.py"):
            source, name = path.read_text(), f"{service.name}/{path.relative_to(folder)}"
            for line in (each for each in source.splitlines() if "await see_all_groups(" in each):
                assert re.search(r"  # \w.{20,}", line), f"{name} must say why: {line}"
                sees_all.add(name)
            if re.search(r"context\.workers\b|ctx\.workers\b|database_of\(", source):
                as_worker.add(name)
            assert not re.search(r"set_config\(|SET (LOCAL )?ROLE|see_all_groups\(\)", source), name
    assert (sees_all, as_worker) == (SEES_ALL, AS_WORKER | BESIDE_REQUESTS)
