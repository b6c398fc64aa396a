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
    "notifications": {"group_copy", "notification", "grant_told", "appointment_copy"},
    "renewals": {"book", "renewal", "appointment", "transaction_copy"},
    "transactions": {"group_copy", "group_plan", "renewal_copy", "transaction", "round"},
}
"""By hand: what a service has of groups is seen here, and so is what comes to be guarded, or no longer is."""

TABLES = """
    SELECT class.relname AS name, class.relrowsecurity AND class.relforcerowsecurity AS forced,
           EXISTS (SELECT FROM pg_attribute AS a
                    WHERE a.attrelid = class.oid AND a.attname = 'group_id' AND NOT a.attisdropped) AS has_group,
           class.relkind AS kind,
           coalesce((SELECT jsonb_object_agg(policy.policyname, policy.roles) FROM pg_policies AS policy
                      WHERE policy.tablename = class.relname AND policy.schemaname = 'public'), '{}') AS policies
      FROM pg_class AS class
     WHERE class.relnamespace = 'public'::regnamespace AND class.relkind IN ('r', 'p', 'v', 'm', 'f')
"""


@by_name
async def test_every_table_of_groups_is_guarded_against_the_request_role(
    service: Service, new_database: NewDatabase
) -> None:
    owner, request, worker = (f"covey_{service.name}_{role}" for role in ("owner", "request", "worker"))
    async with new_database(service.package) as urls:
        engine = make_engine(urls.owner)
        async with engine.connect() as connection:
            found = (await connection.execute(text(TABLES))).all()
        await engine.dispose()
    own = {"forms": ["public"]}
    guarded = {row.name: row.policies for row in found if row.forced}
    assert set(guarded) == GUARDED[service.name]
    for name, policies in guarded.items():
        expected = {"whole": sorted([owner, worker]), "in_sight": [request]} | (own if name == "access_request" else {})
        assert {policy: sorted(roles) for policy, roles in policies.items()} == expected, name
    views = {row.name for row in found if row.kind != "r"}
    assert views == {"access_held"}, "a view sees what its owner sees: it would go round the policies"
    assert {row.name for row in found if row.has_group and row.name not in guarded} == OPEN | views


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
        await engine.dispose()


def test_every_time_that_all_groups_are_shown_says_why() -> None:
    """Few places take the worker's sight, each known here, each with its reason beside it."""
    found = {}
    for service in SERVICES:
        (folder,) = importlib.import_module(service.package).__path__
        for path in sorted(Path(folder).rglob("*.py")):
            lines = path.read_text().splitlines()
            for line in (each for each in lines if "await see_all_groups(" in each):
                found[path.name] = re.search(r"  # \w.{20,}", line) is not None
    assert found == {"redeem_code.py": True, "own_access.py": True, "answer_command.py": True}
