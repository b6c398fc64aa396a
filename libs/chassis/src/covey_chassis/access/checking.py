"""Who asks, and what they may do: read from the database with every request, under the lease.

Nothing about rights is kept in process memory between two requests. A read takes facts and lease in one statement. A
write takes the locks first, in a statement of their own: a statement that locks and reads at once reads the state from
before the lock. Whoever removes a right takes the same locks exclusively afterwards, and so waits for writers that still
saw it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Row,
    Select,
    SQLColumnExpression,
    Text,
    TextClause,
    case,
    column,
    false,
    func,
    literal,
    select,
    table,
    text,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.access.rights import Right, StaffRight
from covey_chassis.access.signing import Signed
from covey_chassis.access.tokens import SignOnNeeded, Token
from covey_chassis.db import MAY_ACT
from covey_chassis.errors import Refusal
from covey_chassis.failpoints import failpoint

MANY = 1000
"""From so many grants on, the groups of rows are looked up among those in sight: see ``Sight.of``."""
_HELD = table("access_held", column("account_id"), column("group_id"), column("rights"), column("billing_units"))


class NotYours(Refusal):
    """You have no right to this."""

    status = 403


class AccountLocked(Refusal):
    """This account is locked: ask the carrier."""

    status = 403


class AccessUnverified(Refusal):
    """Whether you still have the right cannot be verified at the moment: ask again shortly."""

    status = 503
    headers = {"Retry-After": "1"}  # noqa: RUF012
    passes_by_itself = True


class KeyNotRegistered(Refusal):
    """The command is signed with a key that is not, or no longer, registered for its account."""

    status = 403


@dataclass(frozen=True)
class Held:
    """Rights that somebody holds in a group, in some of its billing units (None: in all of them, later ones too)."""

    rights: frozenset[str]
    billing_units: frozenset[str] | None


@dataclass(frozen=True)
class Actor:
    """Who acts, as it was when it was checked, and what they hold in the one group that was asked about."""

    account_id: UUID
    session_id: UUID | None
    """None: they have signed a command, or do not ask themselves."""
    staff: frozenset[str]
    group_id: UUID | None = None
    held: tuple[Held, ...] = ()
    in_many_groups: bool = False
    """Whether they hold something by ``MANY`` grants or more, where all groups in sight were asked about."""

    def has_staff_right(self, rights: Iterable[StaffRight]) -> bool:
        return any(right in self.staff for right in rights)

    def units(self, *rights: Right) -> frozenset[str] | None:
        """In which billing units of the group one of these rights is held: None for all, empty for none.

        Without ``rights``: where any right is held.
        """
        found = [held.billing_units for held in self.held if not rights or held.rights.intersection(rights)]
        if None in found:
            return None
        return frozenset().union(*(units for units in found if units is not None))

    def holds(self, *rights: Right, whole_group: bool) -> bool:
        """Whether one of the rights (or any, when none is named) is held: in the whole group, or at least somewhere."""
        units = self.units(*rights)
        return units is None or (not whole_group and bool(units))


@dataclass(frozen=True)
class Sight:
    """Which groups somebody sees: a filter for every query of a route that names no group."""

    actor: Actor
    rights: tuple[Right, ...]
    everything: bool

    def of(self, group_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
        """A condition for a query: only rows of groups in which one of the rights is held.

        Of few groups, the planner looks up the rows of each. Of many it would, too, as it cannot tell (a UNION has
        no statistics), and take three times as long as to look at each row whether its group is among them: CASE says so.
        """
        if self.everything:
            return true()
        seen = group_id.in_(self._groups())
        return case((seen, true()), else_=false()) if self.actor.in_many_groups else seen

    def fingerprint(self) -> ColumnElement[str]:
        """Another text for other groups. Not for those who see everything.

        By a sum of hashes of 64 bits, not a hash of all IDs in their order: that takes twice as long and more, and is asked
        for twice a second for everybody who watches a list.
        """
        groups = self._groups().distinct().subquery()
        of_each = func.uuid_hash_extended(groups.c[0], literal(0, BigInteger))
        return select(func.concat_ws("/", func.count(), func.sum(of_each))).select_from(groups).scalar_subquery()

    def _groups(self) -> Select[Any]:
        held = select(_HELD.c.group_id).where(_HELD.c.account_id == self.actor.account_id)
        if self.rights:
            held = held.where(_HELD.c.rights.op("&&")(literal([str(right) for right in self.rights], ARRAY(Text))))
        return held


async def lock_for_acting(session: AsyncSession, account_id: UUID, group_id: UUID | None) -> None:
    """Take the locks of somebody who is about to act: the group's and the person's, shared, until the transaction ends.

    Raises:
        RuntimeError: the transaction is not one of the request role, and could last for longer than a removal waits.
    """
    if not session.info.get(MAY_ACT):
        raise RuntimeError("nothing is done for an account but in a transaction of the request role, alone")
    await session.execute(_LOCK, {"account_id": account_id, "group_id": group_id})


async def check(
    session: AsyncSession, token: Token, group_id: UUID | None = None, *, acting: bool, in_sight: bool = False
) -> Actor:
    """Who the token's bearer is now, and what they hold in the group.

    Args:
        session: a transaction (READ COMMITTED) on the primary; of the request role when ``acting``.
        token: what was presented, verified already.
        group_id: the group that is asked about, if one is.
        acting: something is to be changed on the bearer's behalf in this transaction.
        in_sight: what is asked for is in all groups that they see: queries are planned for them from now on.

    Raises:
        AccessUnverified: there is no lease.
        SignOnNeeded: the session has ended.
        AccountLocked: the account is locked.
        RuntimeError: ``acting``, in a transaction that is not one of the request role.
    """
    found = await _facts(
        session, token.account_id, group_id, acting=acting, session_id=token.session_id, in_sight=in_sight
    )
    if found.ended:
        raise SignOnNeeded
    return _actor(found, token.account_id, group_id, session_id=token.session_id)


async def check_signed(session: AsyncSession, signed: Signed, group_id: UUID | None = None) -> Actor:
    """Who signed the command, and what they hold in the group. They act in this transaction.

    Args:
        session: a transaction (READ COMMITTED) of the request role, as an acting consumer's handler has one.
        signed: the command, with its good signature.
        group_id: the group that it is about, if it is about one.

    Raises:
        AccessUnverified: there is no lease. A handler lets it through, and the command waits.
        KeyNotRegistered: the key is none of the account's.
        AccountLocked: the account is locked.
        RuntimeError: the transaction is not one of the request role.
    """
    found = await _facts(session, signed.account_id, group_id, acting=True, key_id=signed.key_id)
    if not found.has_key:
        raise KeyNotRegistered
    return _actor(found, signed.account_id, group_id, session_id=None)


async def check_account(session: AsyncSession, account_id: UUID, group_id: UUID) -> Actor:
    """What somebody holds in the group who does not ask: one whom a message is for.

    Args:
        session: any transaction (READ COMMITTED) on the primary.
        account_id: whose account it is.
        group_id: the group that is asked about.

    Raises:
        AccessUnverified: there is no lease.
        AccountLocked: the account is locked.
    """
    found = await _facts(session, account_id, group_id, acting=False)
    return _actor(found, account_id, group_id, session_id=None)


async def _facts(
    session: AsyncSession,
    account_id: UUID,
    group_id: UUID | None,
    *,
    acting: bool,
    session_id: UUID | None = None,
    key_id: UUID | None = None,
    in_sight: bool = False,
) -> Row[Any]:
    """What is true of the account, its session or its key, and the group, in this moment."""
    await failpoint("access.before_locks")
    if acting:
        await lock_for_acting(session, account_id, group_id)
        await failpoint("access.after_locks")
    asked = {"account_id": account_id, "group_id": group_id, "session_id": session_id, "key_id": key_id}
    sight = {"sight_group": str(group_id or ""), "sight_account": "" if group_id else str(account_id)}
    found = (await session.execute(_FACTS_IN_SIGHT if in_sight else _FACTS, asked | sight)).one()
    await failpoint("access.after_check")
    if not found.fresh:
        raise AccessUnverified
    return found


def _actor(found: Row[Any], account_id: UUID, group_id: UUID | None, *, session_id: UUID | None) -> Actor:
    if found.locked:
        raise AccountLocked
    return Actor(
        account_id=account_id,
        session_id=session_id,
        staff=frozenset(found.staff or ()),
        group_id=group_id,
        held=tuple(
            Held(frozenset(each["rights"]), None if each["units"] is None else frozenset(each["units"]))
            for each in found.held or ()
        ),
        in_many_groups=found.grants == MANY,
    )


async def has_lease(session: AsyncSession) -> bool:
    """Whether rights can be verified at this moment."""
    return bool(await session.scalar(text(f"SELECT {_FRESH} FROM access_applier AS applier")))  # noqa: S608 - ours


_FRESH = """
    (applier.authority
     OR (applier.lease_server = pg_postmaster_start_time() AND clock_timestamp() < applier.lease_until))
"""
_LOCK = text(
    """
    SELECT pg_advisory_xact_lock_shared(access_key('person', CAST(:account_id AS uuid))),
           pg_advisory_xact_lock_shared(access_key('group', CAST(:group_id AS uuid)))
    """
)


def _facts_query(more: str) -> TextClause:
    return text(
        f"""
    SELECT {_FRESH} AS fresh,
           EXISTS (SELECT FROM access_fact
                    WHERE kind = 'session' AND id = CAST(:session_id AS uuid) AND NOT active) AS ended,
           EXISTS (SELECT FROM access_fact
                    WHERE kind = 'key' AND id = CAST(:key_id AS uuid) AND active
                      AND account_id = CAST(:account_id AS uuid)) AS has_key,
           EXISTS (SELECT FROM access_fact
                    WHERE kind = 'account' AND id = CAST(:account_id AS uuid) AND NOT active) AS locked,
           (SELECT rights FROM access_fact
             WHERE kind = 'staff' AND id = CAST(:account_id AS uuid) AND active) AS staff,
           (SELECT jsonb_agg(jsonb_build_object('rights', rights, 'units', billing_units)) FROM access_held
             WHERE account_id = CAST(:account_id AS uuid) AND group_id = CAST(:group_id AS uuid)) AS held,
           set_config('covey.group', :sight_group, true), set_config('covey.account', :sight_account, true),
           {more}
      FROM access_applier AS applier
    """  # noqa: S608 - ours
    )


_FACTS = _facts_query("0 AS grants")
"""What it sets is what the transaction sees of guarded tables: one group, or all that the account holds something in."""
_FACTS_IN_SIGHT = _facts_query(
    """
    (SELECT count(*) FROM (SELECT FROM access_held
                            WHERE account_id = CAST(:account_id AS uuid) LIMIT :many) AS some_grants) AS grants,
    set_config('plan_cache_mode', 'force_custom_plan', true)
    """
).bindparams(many=MANY)
"""Of all groups in sight, which may be none or ten thousand: a plan for everybody took thirty times as long for those."""
