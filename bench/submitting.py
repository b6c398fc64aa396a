"""Transactions that can be submitted, and whoever may do it: made by the service's own domain, not measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import cycle, islice
from uuid import UUID, uuid4

from covey_chassis.access import Right
from covey_chassis.access.facts import Fact, FactKind, keep_facts
from covey_chassis.access.tokens import issue
from covey_chassis.clock import Clock
from covey_chassis.db import Database
from covey_chassis.ids import new_id
from covey_chassis.outbox import emit
from covey_contracts.renewals import RenewalStatus
from covey_transactions.domain.changes import Draft
from covey_transactions.domain.plan import KnownPlan
from covey_transactions.domain.renewal import Group, Renewal
from covey_transactions.domain.transaction import Transaction
from joserfc.jwk import OKPKey
from sqlalchemy import text

from bench import http_load

REGION = "California"
PLANS = [f"{metal}-{share}" for metal in ("BRONZE", "SILVER", "GOLD", "PLATINUM") for share in (60, 70, 80, 90)]
DAYS_AHEAD = 60
"""So long before the plan year begins everything is in time."""


def a_draft(number: int) -> Draft:
    """What a group of some twenty might change: two classes, four who join with their families, two who leave."""
    last_names = [f"{name}{number}" for name in ("Abenayo", "Brandt", "Castellan", "Drummond")]
    return Draft.model_validate(
        {
            "classes": [
                {
                    "employee_class": name,
                    "plan_ids": plan_ids,
                    "contribution": {"basis": "percent", "employee": "80.00", "dependents": "50.00"},
                }
                for name, plan_ids in (("Full-time", PLANS[4:7]), ("Part-time", PLANS[:2]))
            ],
            "enrollments": [
                {
                    "subscriber": {"first_name": "Ada", "last_name": last_name, "date_of_birth": "1984-12-10"},
                    "employee_class": "Full-time",
                    "plan_id": PLANS[5],
                    "dependents": [
                        {
                            "first_name": first_name,
                            "last_name": last_name,
                            "date_of_birth": "2015-09-22",
                            "relationship": relationship,
                        }
                        for first_name, relationship in (("Pim", "spouse"), ("Uma", "child"))
                    ],
                }
                for last_name in last_names
            ],
            "terminations": [
                {
                    "subscriber": {"first_name": "Kurt", "last_name": last_name, "date_of_birth": "1980-03-02"},
                    "reason": "left employment",
                }
                for last_name in last_names[:2]
            ],
        }
    )


@dataclass(frozen=True)
class Saved:
    """A transaction that waits to be submitted, and who may do that."""

    group_id: UUID
    transaction_id: UUID
    version: int
    owner_id: UUID

    @property
    def path(self) -> str:
        return f"/v1/groups/{self.group_id}/transactions/{self.transaction_id}"


async def make_saved(
    database: Database, clock: Clock, owners: Sequence[UUID], wanted: int, *, told: bool = True
) -> list[Saved]:
    """So many groups, each with a transaction that was opened and saved. The owners have them in turn.

    Not ``told``: nobody hears of them, who would wait for their groups.
    """
    async with database.transaction() as session:
        today = await clock.today(session)
        for plan_id in PLANS:
            await session.merge(KnownPlan(REGION, (today + timedelta(days=DAYS_AHEAD)).year, plan_id))
    made: list[Saved] = []
    while len(made) < wanted:
        some = list(islice(cycle(owners), min(250, wanted - len(made))))
        made += await _make_some(database, today, some, told=told)
    return made


async def _make_some(database: Database, today: date, owners: Sequence[UUID], *, told: bool) -> list[Saved]:
    async with database.transaction() as session:
        groups = [Group(new_id(), 1, f"G-{uuid4().hex}", "Quillfern Ceramics LLC", REGION) for _ in owners]
        effective_date = today + timedelta(days=DAYS_AHEAD)
        renewals = [
            Renewal(new_id(), 1, group.group_id, effective_date.year, effective_date, RenewalStatus.AVAILABLE)
            for group in groups
        ]
        session.add_all([*groups, *renewals])
        await session.flush()
        at = Clock.now()
        made = []
        for renewal, owner_id in zip(renewals, owners, strict=True):
            transaction = Transaction.open(renewal, by=owner_id, at=at)
            session.add(transaction)
            made.append((transaction, owner_id))
        await session.flush()
        for number, (transaction, owner_id) in enumerate(made):
            opened = transaction.save(a_draft(number), by=owner_id, at=at)
            assert opened is not None
            if told:
                emit(session, transaction, opened)
        await session.flush()
        rev = int(await session.scalar(text("SELECT coalesce(max(rev), 0) FROM access_fact")) or 0)
        grants = [
            Fact(
                kind=FactKind.GRANT,
                id=new_id(),
                rev=rev + number,
                group_id=transaction.group_id,
                account_id=owner_id,
                rights=(Right.RENEWALS_CHANGE, Right.RENEWALS_VIEW),
                active=True,
            )
            for number, (transaction, owner_id) in enumerate(made, start=1)
        ]
        await keep_facts(session, grants)
        return [Saved(each.group_id, each.id, each.version, owner_id) for each, owner_id in made]


def submissions(url: str, key: OKPKey, saved: Sequence[Saved]) -> list[bytes]:
    """The requests that submit them, each with a good token and a fresh key."""
    now = int(Clock.now().timestamp())
    tokens = {owner_id: issue(key, owner_id, new_id(), now=now) for owner_id in {each.owner_id for each in saved}}
    return [
        http_load.request(
            url,
            "POST",
            f"{each.path}/submission",
            {
                "Authorization": f"Bearer {tokens[each.owner_id]}",
                "Idempotency-Key": uuid4().hex,
                "If-Match": f'"{each.version}"',
            },
        )
        for each in saved
    ]
