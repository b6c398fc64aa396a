"""The people of a run: who is registered, what they hold, and the process in which they act."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path

from covey_chassis.testing.broker import eventually
from covey_local.attach import Operator
from covey_local.demo.book import Row, make_book
from covey_local.home import UserAccount
from covey_local.processes import write_private

from tests.resilience.platform import CODE, PASSWORD, Group, Person, Platform, reads_of

from .plan import PLANS, Cast, CastGroup, Member, Owner, Plan, Sight, Team

OWNERS, GROUPS_EACH, TEAMS, REVIEWERS = 4, 5, 3, 2
AHEAD_DAYS = 70
"""So far ahead are the renewals of the cast's groups: they become available at once."""
END_S = 60
"""So long the clients may take to end what is under way."""


async def recruit(platform: Platform) -> Cast:
    """Import groups of their own, register people, and give them what they need. Once for a stack; about 20 s."""
    groups = await _import_groups(platform, OWNERS * GROUPS_EACH + TEAMS)
    of_teams, of_owners = groups[:TEAMS], groups[TEAMS:]
    shares = [of_owners[index::OWNERS] for index in range(OWNERS)]
    owners = await asyncio.gather(*(_owner(platform, share) for share in shares))
    teams = await asyncio.gather(*(_team(platform, group) for group in of_teams))
    reviewers = [await _reviewer(platform, number) for number in range(REVIEWERS)]
    helper = {"name": "Hilde Helm", "phone": "+1 555 0134", "email": "hilde.helm@carrier.example"}
    representative = await platform.send("POST", "transactions", "/v1/representatives", json=helper)
    await platform.until_everywhere()
    staff = platform.stack.run["accounts"]["staff"]
    members = [*reviewers, *(each["member"] for each in owners)]
    members += [member for each in teams for member in (each["primary"], each["user"])]
    return Cast(
        staff=staff,
        reviewers=reviewers,
        owners=owners,
        teams=teams,
        representative_id=representative.json()["representative_id"],
        sessions=dict(
            [await _session(platform, account) for account in (staff, *(each["account"] for each in members))]
        ),
    )


@asynccontextmanager
async def acting(
    platform: Platform, cast: Cast, folder: Path, *, name: str, seed: int, rate_per_s: float = 40, approvals: int = 1
) -> AsyncIterator[Path]:
    """They act for the block, in a process of their own: the file of its history. Afterwards what is under way is ended.

    Args:
        platform: where they act.
        cast: who acts.
        folder: where plan, history and log are written.
        name: of the process; its files are named so.
        seed: for what they choose.
        rate_per_s: operations, of all together, if nothing is slow.
        approvals: how many renewals the reviewers approve at most; each uses a group up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        name=name,
        seed=seed,
        rate_per_s=rate_per_s,
        approvals=approvals,
        history=str(folder / f"{name}.history.jsonl"),
        services=platform.stack.run["services"],
        mail=platform.stack.run["mail"],
        databases={service: platform.stack.run["databases"][service] for service in ("membership", "transactions")},
        code=CODE,
        cast=cast,
    )
    file = folder / f"{name}.plan.json"
    write_private(file, json.dumps(plan))
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.resilience.faults.clients", str(file)), stdout=log, stderr=log
        )
    history = Path(plan["history"])
    try:
        await eventually(lambda: _is_there(history, process), within_s=END_S)
        yield history
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), END_S)
        assert code == 0, f"the clients ended with {code}: {(folder / f'{name}.log').read_text()[-2000:]}"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _is_there(history: Path, process: asyncio.subprocess.Process) -> bool:
    """Whether they act by now, or never will."""
    return history.exists() or process.returncode is not None


# --- how they get what they need ---


async def _import_groups(platform: Platform, wanted: int) -> list[CastGroup]:
    """Groups without a broker, whose renewals are available; their plans are known for the coming year, too."""
    today = (await asyncio.to_thread(Operator.of(platform.stack.run, "renewals").today)).today
    coming = today + timedelta(days=AHEAD_DAYS)
    rows = [_row(number, row, coming) for number, row in enumerate(make_book(wanted, days=60, today=today, seed=5), 1)]
    await platform.import_book(rows)
    return await asyncio.gather(*(_known_group(platform, row["group_number"]) for row in rows))


def _row(number: int, row: Row, coming: date) -> Row:
    broker = ("firm_number", "firm_name", "firm_contact_name", "firm_contact_email", "acquired_date")
    return (
        row
        | dict.fromkeys(broker, "")
        | {
            "group_number": f"C{number:05d}",
            "effective_date": coming.replace(day=1, year=coming.year - 4).isoformat(),
            "renewal_date": coming.isoformat(),
            "plans": "|".join(f"{year}:{plan}" for year in (coming.year - 1, coming.year) for plan in PLANS),
        }
    )


async def _known_group(platform: Platform, number: str) -> CastGroup:
    listed = await platform.send("GET", "membership", "/v1/groups", params={"group_number": number})
    group_id = listed.json()["items"][0]["group_id"]

    return CastGroup(id=group_id, number=number, renewal_id=await platform.available_renewal(group_id))


async def _owner(platform: Platform, groups: list[CastGroup]) -> Owner:
    person = await platform.person()
    for group in groups:
        await platform.appoint(Group(group["id"], group["number"]), person.email)
        await platform.redeem(person)
    return Owner(member=await _member(platform, person), groups=groups)


async def _team(platform: Platform, group: CastGroup) -> Team:
    primary, user = await asyncio.gather(platform.primary(Group(group["id"], group["number"])), platform.person())
    return Team(
        group=group,
        primary=await _member(platform, primary),
        user=await _member(platform, user),
        sights=list(_sights(group)),
    )


def _sights(group: CastGroup) -> Iterator[Sight]:
    for service in ("membership", "renewals", "identity"):
        for path, names_group in reads_of(service, Group(group["id"], group["number"])):
            yield Sight(service=service, path=path, names=None if names_group else group["id"])
    plans = f"/v1/groups/{group['id']}/renewals/{group['renewal_id']}/plans"
    yield Sight(service="transactions", path=plans, names=None)


async def _member(platform: Platform, person: Person) -> Member:
    known = (await platform.send("GET", "identity", "/v1/account", by=person)).json()
    account = UserAccount(user_id=known["user_id"], password=PASSWORD)
    return Member(account_id=person.account_id, email=person.email, account=account)


async def _session(platform: Platform, account: UserAccount) -> tuple[str, str]:
    """A new session: whose it is, and its token."""
    answer = await platform.send("POST", "identity", "/v1/sessions", json=account)
    return account["user_id"], answer.json()["session_token"]


async def _reviewer(platform: Platform, number: int) -> Member:
    operator = Operator.of(platform.stack.run, "identity")
    email = f"reviewer{number}@covey.example"
    made = await asyncio.to_thread(
        operator.make_staff, first_name="Ruth", last_name="Weller", email=email, rights=["review.decide"]
    )
    assert made.password is not None
    account = UserAccount(user_id=made.user_id, password=made.password)
    return Member(account_id=made.account_id, email=email, account=account)
