"""Row-level security: PostgreSQL itself keeps from a request the rows of groups that it has no business with.

A second wall, behind the filters of queries (ADR 0029). Every table with a ``group_id`` is guarded, and every table that
leads to one by foreign keys. The worker and the owner see all of it. The request role sees the group that was asked about
when its rights were checked, or the groups in which the account that asks holds something; before that, nothing. What
belongs to no group (a reference that is null) it does not see. Whoever may see every group takes the worker's sight for the
transaction (``access.rows``).
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from covey_chassis.transient import is_transient

OPEN = frozenset({"access_fact", "stored_answer"})
"""Not guarded: rights are looked up in the one for all groups, and the other is read by the account that asks."""
LOCK_TIMEOUT = "2s"
"""So long the guarding of a table waits for whoever uses it, while others queue up behind it. Then it is tried again."""
TRIES = 10
PAUSE_S = 1.0


class CannotGuard(Exception):
    """The roles are not such that anything could be kept from requests."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Names of the roles of a service's database."""

    owner: str
    request: str
    worker: str


# --- roles ---


async def check_roles(connection: AsyncConnection, roles: Roles) -> None:
    """Make sure that policies hold for the request role, and that it can take the worker's sight where it is due.

    Raises:
        CannotGuard: with what to do about it.
    """
    owner, request, worker = (_name(each) for each in (roles.owner, roles.request, roles.worker))
    if roles.request in (roles.owner, roles.worker):
        raise CannotGuard(f"{request} must be a role of its own, neither the owner's nor the worker's.")
    found = (await connection.execute(_ROLES, asdict(roles))).one_or_none()
    if found is None:
        raise CannotGuard(f"{request} and {worker} must be roles of the owner's server.")
    if found.above:
        raise CannotGuard(f"{request} is SUPERUSER or has BYPASSRLS: no policy holds for it.")
    if found.has_owner:
        raise CannotGuard(f"{request} has the rights of {owner}: REVOKE {owner} FROM {request};")
    if found.has_worker:
        raise CannotGuard(
            f"{request} has the rights of {worker} all the time, so that no policy keeps anything from it. "
            f"Take them from it, and from the roles that it is in: REVOKE {worker} FROM {request}; "
            f"then GRANT {worker} TO {request} WITH INHERIT FALSE, SET TRUE;"
        )
    if not found.may_be_worker:
        raise CannotGuard(
            f"{request} must be able to become {worker}: GRANT {worker} TO {request} WITH INHERIT FALSE, SET TRUE;"
        )


_ROLES = text(
    """
    SELECT request.rolsuper OR request.rolbypassrls AS above,
           pg_has_role(request.oid, owner.oid, 'USAGE') AS has_owner,
           pg_has_role(request.oid, worker.oid, 'USAGE') AS has_worker,
           pg_has_role(request.oid, worker.oid, 'SET') AS may_be_worker
      FROM pg_roles AS request, pg_roles AS owner, pg_roles AS worker
     WHERE request.rolname = :request AND owner.rolname = :owner AND worker.rolname = :worker
    """
)


# --- tables ---


async def guard_groups(engine: AsyncEngine, roles: Roles) -> None:
    """Guard what has rows of groups, and is not guarded in this way yet; let go of what has none any more.

    Each table has a transaction of its own: the next one finds those that are done. A policy is known by its comment: what
    somebody has altered by hand is not found.
    """
    async with engine.begin() as connection:
        await connection.exec_driver_sql(_see_all_groups(roles.worker))
        direct = set(await connection.scalars(_DIRECT, {"open": list(OPEN)}))
        references = (await connection.execute(_REFERENCES, {"open": list(OPEN)})).all()
        guarded = {row.name: row for row in await connection.execute(_GUARDED)}
    wanted = _conditions(direct, references)
    for table in guarded.keys() - wanted.keys():
        await _alter(engine, _let_go(table))
    for table, condition in wanted.items():
        comment = f"{roles.request} sees: {condition}; {roles.owner} and {roles.worker} see all"
        if table not in guarded or not guarded[table].forced or guarded[table].comments != [comment, comment]:
            await _alter(engine, _guard(table, condition, roles, comment))


def _conditions(direct: set[str], references: Iterable[Row[Any]]) -> dict[str, str]:
    """Which rows of each table a request sees: of those that lead to a group, where all that they refer to is seen."""
    conditions = dict.fromkeys(direct, _IN_SIGHT)
    left = [row for row in references if row.name not in direct]
    while found := [row for row in left if row.parent in conditions and row.name not in conditions]:
        reached = defaultdict(list)
        for row in found:
            columns = zip(row.keys, row.columns, strict=True)
            same = " AND ".join(
                f"belongs_to.{_name(key)} = {_name(row.name)}.{_name(column)}" for key, column in columns
            )
            reached[row.name].append(f"EXISTS (SELECT FROM {_name(row.parent)} AS belongs_to WHERE {same})")
        conditions |= {name: " AND ".join(sorted(each)) for name, each in reached.items()}
    return conditions


def _guard(table: str, condition: str, roles: Roles, comment: str) -> list[str]:
    name = _name(table)
    return [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS whole ON {name}",
        f"CREATE POLICY whole ON {name} TO {_name(roles.owner)}, {_name(roles.worker)} USING (true)",
        f"DROP POLICY IF EXISTS in_sight ON {name}",
        f"CREATE POLICY in_sight ON {name} TO {_name(roles.request)} USING ({condition})",
        *(f"COMMENT ON POLICY {policy} ON {name} IS {_literal(comment)}" for policy in ("whole", "in_sight")),
    ]


def _let_go(table: str) -> list[str]:
    name = _name(table)
    return [
        f"DROP POLICY IF EXISTS whole ON {name}",
        f"DROP POLICY IF EXISTS in_sight ON {name}",
        f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
    ]


async def _alter(engine: AsyncEngine, statements: list[str]) -> None:
    for left in reversed(range(TRIES)):
        try:
            async with engine.begin() as connection:
                for statement in [f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'", *statements]:
                    await connection.exec_driver_sql(statement)
        except DBAPIError as error:
            if not left or not is_transient(error):
                raise
            await asyncio.sleep(PAUSE_S)
        else:
            return


def _see_all_groups(worker: str) -> str:
    return (
        "CREATE OR REPLACE FUNCTION see_all_groups() RETURNS text LANGUAGE sql VOLATILE "
        f"RETURN set_config('role', {_literal(worker)}, true)"
    )


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


_IN_SIGHT = (
    "group_id = (SELECT sight_group()) OR group_id IN "
    "(SELECT access_held.group_id FROM access_held WHERE access_held.account_id = (SELECT sight_account()))"
)
_DIRECT = text(
    """
    SELECT class.relname
      FROM pg_class AS class
      JOIN pg_namespace AS schema ON schema.oid = class.relnamespace AND schema.nspname = current_schema()
      JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
     WHERE class.relkind IN ('r', 'p') AND class.relname <> ALL(CAST(:open AS name[]))
       AND attribute.attname = 'group_id' AND NOT attribute.attisdropped
     ORDER BY 1
    """
)
_REFERENCES = text(
    """
    SELECT class.relname AS name, parent.relname AS parent,
           (SELECT array_agg(CAST(attname AS text) ORDER BY place)
              FROM unnest(reference.conkey) WITH ORDINALITY AS at (number, place)
              JOIN pg_attribute ON attrelid = class.oid AND attnum = at.number) AS columns,
           (SELECT array_agg(CAST(attname AS text) ORDER BY place)
              FROM unnest(reference.confkey) WITH ORDINALITY AS at (number, place)
              JOIN pg_attribute ON attrelid = parent.oid AND attnum = at.number) AS keys
      FROM pg_constraint AS reference
      JOIN pg_class AS class ON class.oid = reference.conrelid
      JOIN pg_namespace AS schema ON schema.oid = class.relnamespace AND schema.nspname = current_schema()
      JOIN pg_class AS parent ON parent.oid = reference.confrelid AND parent.relnamespace = schema.oid
     WHERE reference.contype = 'f' AND reference.conparentid = 0 AND class.oid <> parent.oid
       AND class.relname <> ALL(CAST(:open AS name[]))
     ORDER BY 1, 2
    """
)
_GUARDED = text(
    """
    SELECT class.relname AS name, class.relrowsecurity AND class.relforcerowsecurity AS forced,
           array_agg(obj_description(policy.oid, 'pg_policy') ORDER BY policy.polname) AS comments
      FROM pg_policy AS policy
      JOIN pg_class AS class ON class.oid = policy.polrelid
      JOIN pg_namespace AS schema ON schema.oid = class.relnamespace AND schema.nspname = current_schema()
     WHERE policy.polname IN ('in_sight', 'whole')
     GROUP BY class.oid, class.relname
    """
)
