"""Row-level security: PostgreSQL itself keeps from a request the rows of groups that it has no business with.

A second wall, behind the filters of queries (ADR 0029). Every table with a ``group_id`` is guarded, and every table that
only refers to one by a foreign key. The worker and the owner see all of it. The request role sees the group that was asked
about when its rights were checked, or the groups in which the account that asks holds something; before that, nothing.
Whoever may see every group takes the worker's sight for the transaction (``access.rows``).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

OPEN = frozenset({"access_fact", "stored_answer"})
"""Not guarded: rights are looked up in the one for all groups, and the other is read by its account alone."""
LOCK_TIMEOUT = "10s"
"""So long the guarding of one table waits for whoever uses it, who wait behind it meanwhile."""


class CannotGuard(Exception):
    """The roles are not such that anything could be kept from requests."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Names of the roles of a service's database."""

    owner: str
    request: str
    worker: str


async def check_roles(connection: AsyncConnection, roles: Roles) -> None:
    """Make sure that policies hold for the request role, and that it can take the worker's sight where it is due.

    Raises:
        CannotGuard: with what to do about it.
    """
    found = (await connection.execute(_ROLES, asdict(roles))).one()
    request, worker = _name(roles.request), _name(roles.worker)
    if found.above:
        raise CannotGuard(f"{request} is SUPERUSER or has BYPASSRLS: no policy holds for it.")
    if roles.request in (roles.owner, roles.worker):
        raise CannotGuard(f"{request} must be a role of its own, neither the owner's nor the worker's.")
    if found.has_owner:
        raise CannotGuard(
            f"{request} has the rights of {_name(roles.owner)}: REVOKE {_name(roles.owner)} FROM {request};"
        )
    if found.has_worker or not found.may_be_worker:
        raise CannotGuard(
            f"{request} must be able to become {worker}, and not have its rights by itself: "
            f"GRANT {worker} TO {request} WITH INHERIT FALSE, SET TRUE;"
        )


async def guard_groups(engine: AsyncEngine, roles: Roles) -> None:
    """Guard whatever has rows of groups and is not guarded yet in this way, each table in a transaction of its own."""
    async with engine.begin() as connection:
        await connection.execute(text(_see_all_groups(roles.worker)))
        wanted = _conditions((await connection.execute(_GROUPED, {"open": list(OPEN)})).mappings())
        done = {row.table: row.comment for row in await connection.execute(_DONE)}
    for table, condition in wanted.items():
        comment = f"{roles.request} sees: {condition}; {roles.owner} and {roles.worker} see all"
        if done.get(table) == comment:
            continue
        async with engine.begin() as connection:
            for statement in _guard(table, condition, roles, comment):
                await connection.execute(text(statement))


def _conditions(found: Iterable[Mapping[str, str | None]]) -> dict[str, str]:
    """Which rows of each table a request sees."""
    conditions = defaultdict(list)
    for row in found:
        if row["parent"] is None:
            conditions[row["table"]].append(_IN_SIGHT)
        else:
            parent, key, reference = (_name(str(row[each])) for each in ("parent", "key", "reference"))
            own = _name(str(row["table"]))
            conditions[row["table"]].append(
                f"EXISTS (SELECT FROM {parent} AS belongs_to WHERE belongs_to.{key} = {own}.{reference})"
            )
    return {str(table): " AND ".join(each) for table, each in conditions.items()}


def _guard(table: str, condition: str, roles: Roles, comment: str) -> list[str]:
    name = _name(table)
    return [
        f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'",
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS whole ON {name}",
        f"CREATE POLICY whole ON {name} TO {_name(roles.owner)}, {_name(roles.worker)} USING (true)",
        f"DROP POLICY IF EXISTS in_sight ON {name}",
        f"CREATE POLICY in_sight ON {name} TO {_name(roles.request)} USING ({condition})",
        f"COMMENT ON POLICY in_sight ON {name} IS {_literal(comment)}",
    ]


def _see_all_groups(worker: str) -> str:
    return f"""
    CREATE OR REPLACE FUNCTION see_all_groups() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('role', {_literal(worker)}, true);
    END
    $$
    """


def _name(name: str) -> str:
    return dialect().identifier_preparer.quote_identifier(name)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


_IN_SIGHT = (
    "group_id = (SELECT sight_group()) OR group_id IN "
    "(SELECT access_held.group_id FROM access_held WHERE access_held.account_id = (SELECT sight_account()))"
)
_ROLES = text(
    """
    SELECT rolsuper OR rolbypassrls AS above,
           pg_has_role(CAST(:request AS name), CAST(:owner AS name), 'USAGE') AS has_owner,
           pg_has_role(CAST(:request AS name), CAST(:worker AS name), 'USAGE') AS has_worker,
           pg_has_role(CAST(:request AS name), CAST(:worker AS name), 'SET') AS may_be_worker
      FROM pg_roles WHERE rolname = :request
    """
)
_GROUPED = text(
    """
    WITH grouped AS (
        SELECT class.oid, class.relname
          FROM pg_class AS class
          JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid AND attribute.attname = 'group_id'
         WHERE class.relkind IN ('r', 'p') AND class.relnamespace = CAST(current_schema() AS regnamespace)
           AND NOT attribute.attisdropped AND class.relname <> ALL(CAST(:open AS name[]))
    )
    SELECT relname AS "table", NULL AS parent, NULL AS key, NULL AS reference FROM grouped
    UNION ALL
    SELECT class.relname, grouped.relname, key.attname, reference.attname
      FROM pg_constraint AS foreign_key
      JOIN grouped ON grouped.oid = foreign_key.confrelid
      JOIN pg_class AS class ON class.oid = foreign_key.conrelid
      JOIN pg_attribute AS key ON key.attrelid = foreign_key.confrelid AND key.attnum = foreign_key.confkey[1]
      JOIN pg_attribute AS reference
        ON reference.attrelid = foreign_key.conrelid AND reference.attnum = foreign_key.conkey[1]
     WHERE foreign_key.contype = 'f' AND cardinality(foreign_key.conkey) = 1
       AND foreign_key.conrelid NOT IN (SELECT oid FROM grouped) AND class.relname <> ALL(CAST(:open AS name[]))
     ORDER BY 1, 2, 4
    """
)
_DONE = text(
    """
    SELECT class.relname AS "table", obj_description(policy.oid, 'pg_policy') AS comment
      FROM pg_policy AS policy JOIN pg_class AS class ON class.oid = policy.polrelid
     WHERE policy.polname = 'in_sight' AND class.relrowsecurity AND class.relforcerowsecurity
       AND class.relnamespace = CAST(current_schema() AS regnamespace)
    """
)
