"""Row-level security: PostgreSQL itself keeps from a request the rows of groups that it has no business with.

A second wall, behind the filters of queries (ADR 0029). Every table with a ``group_id`` is guarded, and every table that
leads to one by foreign keys. The worker and the owner see all of it. The request role sees the group that was asked about
when its rights were checked, or the groups in which the account that asks holds something; before that, nothing. What
belongs to no group (a reference that is null) it does not see. Whoever may see every group takes the worker's sight for the
transaction (``access.rows``).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from covey_chassis.transient import is_transient

log = structlog.get_logger(__name__)

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
    """Make sure that policies hold for the request role, and that it can take the worker's sight where it is due, no more.

    Raises:
        CannotGuard: with what to do about it.
    """
    owner, request, worker = (_name(each) for each in (roles.owner, roles.request, roles.worker))
    if len({roles.owner, roles.request, roles.worker}) < 3:
        raise CannotGuard(f"{owner}, {request} and {worker} must be three roles, each with its own URL.")
    found = (await connection.execute(_ROLES, asdict(roles))).one_or_none()
    if found is None:
        raise CannotGuard(f"{request} and {worker} must be roles of the owner's server.")
    if found.above:
        raise CannotGuard(f"{found.above} is SUPERUSER or has BYPASSRLS: no policy holds for it.")
    if found.owners:
        raise CannotGuard(
            f"{found.owners} has the rights of {owner}, or can take them: REVOKE {owner} FROM {found.owners};"
        )
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
    SELECT CASE WHEN request.rolsuper OR request.rolbypassrls THEN quote_ident(request.rolname)
                WHEN worker.rolsuper OR worker.rolbypassrls THEN quote_ident(worker.rolname) END AS above,
           CASE WHEN pg_has_role(worker.oid, owner.oid, 'MEMBER') THEN quote_ident(worker.rolname)
                WHEN pg_has_role(request.oid, owner.oid, 'MEMBER') THEN quote_ident(request.rolname) END AS owners,
           pg_has_role(request.oid, worker.oid, 'USAGE') AS has_worker,
           pg_has_role(request.oid, worker.oid, 'SET') AS may_be_worker
      FROM pg_roles AS request, pg_roles AS owner, pg_roles AS worker
     WHERE request.rolname = :request AND owner.rolname = :owner AND worker.rolname = :worker
    """
)


# --- tables ---


async def guard_groups(engine: AsyncEngine, roles: Roles) -> None:
    """Guard what has rows of groups, and is not guarded in this way yet; let go of what has none any more.

    Each table has a transaction of its own: the next one finds those that are done. A policy is known by its comment and
    its roles: a condition that somebody has altered by hand is not found.
    """
    async with engine.begin() as connection:
        await connection.exec_driver_sql(_see_all_groups(roles.worker))
        direct = set(await connection.scalars(_DIRECT, {"open": list(OPEN)}))
        references = (await connection.execute(_REFERENCES, {"open": list(OPEN)})).all()
        guarded = {row.name: row for row in await connection.execute(_GUARDED)}
    wanted = _conditions(direct, references)
    for table in sorted(guarded.keys() - wanted.keys()):
        log.warning("migrate.let_go", table=table)  # requests see all of it from now on
        await _alter(engine, _let_go(table, keep=guarded[table].others))
    for table, condition in wanted.items():
        comment = f"{roles.request} sees: {condition}; {roles.owner} and {roles.worker} see all"
        done = [(comment, [roles.request]), (comment, sorted([roles.owner, roles.worker]))]
        if table not in guarded or not guarded[table].forced or _policies(guarded[table]) != done:
            await _alter(engine, _guard(table, condition, roles, comment))


def _conditions(direct: set[str], references: Sequence[Row[Any]]) -> dict[str, str]:
    """Which rows of each table a request sees: of those that lead to a group, where all is seen that they refer to.

    Of tables that refer to each other in a circle, the shortest way out of it counts.
    """
    conditions = dict.fromkeys(sorted(direct), _IN_SIGHT)
    leading = _leading(direct, references)
    left = [row for row in references if row.name not in direct and row.parent in leading]
    while left:
        open_ones = {row.name for row in left}
        ready = open_ones - {row.name for row in left if row.parent in open_ones}
        ready = ready or {row.name for row in left if row.parent in conditions}
        for name in sorted(ready):
            seen = {_refers(row) for row in left if row.name == name and row.parent in conditions}
            conditions[name] = " AND ".join(sorted(seen))
        left = [row for row in left if row.name not in ready]
    return conditions


def _leading(direct: set[str], references: Sequence[Row[Any]]) -> set[str]:
    """The tables from which foreign keys lead to one that names its group, and these."""
    leading = set(direct)
    while found := {row.name for row in references if row.parent in leading} - leading:
        leading |= found
    return leading


def _refers(row: Row[Any]) -> str:
    columns = zip(row.keys, row.columns, strict=True)
    same = " AND ".join(f"belongs_to.{_name(key)} = {_name(row.name)}.{_name(column)}" for key, column in columns)
    return f"EXISTS (SELECT FROM {_name(row.parent)} AS belongs_to WHERE {same})"


def _policies(found: Row[Any]) -> list[tuple[str, list[str]]]:
    """Comment and roles of ``in_sight`` and of ``whole``, as far as there are such."""
    return [(each["comment"], each["roles"]) for each in found.policies]


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


def _let_go(table: str, *, keep: bool) -> list[str]:
    """``keep``: it has policies of its own."""
    name = _name(table)
    opened = f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY"
    return [
        f"DROP POLICY IF EXISTS whole ON {name}",
        f"DROP POLICY IF EXISTS in_sight ON {name}",
        *([] if keep else [opened]),
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


_IN_SIGHT = "group_id = (SELECT sight_group()) OR group_id IN (SELECT sight_groups())"
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
     WHERE reference.contype = 'f' AND class.oid <> parent.oid
       AND NOT EXISTS (  -- what a reference to a partitioned table becomes for each of its partitions
           SELECT FROM pg_constraint AS whole WHERE whole.oid = reference.conparentid AND whole.conrelid = class.oid
       )
       AND class.relname <> ALL(CAST(:open AS name[]))
     ORDER BY 1, 2
    """
)
_GUARDED = text(
    """
    SELECT class.relname AS name, class.relrowsecurity AND class.relforcerowsecurity AS forced,
           coalesce(jsonb_agg(jsonb_build_object(
               'comment', obj_description(policy.oid, 'pg_policy'),
               'roles', ARRAY(SELECT CAST(rolname AS text) FROM pg_roles
                               WHERE oid = ANY(policy.polroles) ORDER BY CAST(rolname AS text) COLLATE "C")
           ) ORDER BY policy.polname) FILTER (WHERE policy.polname IN ('in_sight', 'whole')), '[]') AS policies,
           bool_or(policy.polname NOT IN ('in_sight', 'whole')) AS others
      FROM pg_policy AS policy
      JOIN pg_class AS class ON class.oid = policy.polrelid
      JOIN pg_namespace AS schema ON schema.oid = class.relnamespace AND schema.nspname = current_schema()
     GROUP BY class.oid, class.relname
    HAVING bool_or(policy.polname IN ('in_sight', 'whole'))
    """
)
