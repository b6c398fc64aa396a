"""What each kind of client does, again and again, until the process is to end."""

import random
import re
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
from covey_local.home import UserAccount

from .client import Client, Office
from .history import Op
from .plan import PLANS, CastGroup, Owner, Team

LET_IN_S = 3.0
"""So long a user is let in."""
LOOK_S = 0.1
MAIL_S = 20.0
"""So long a code is waited for."""
WATCHED_S = 12.0
"""So long a stream is kept open, if nobody ends it."""
WATCHED = ("identity", "membership", "notifications", "renewals", "transactions")
"""Where: each service has one."""
REMOVED_S = 30.0
"""So long "removed" is waited for, beyond what the answer itself waits."""
USERS_RIGHTS = ["group.update", "renewals.view", "renewals.change"]
REFUSALS = (401, 403, 404, 429)
SIGHTS = (
    ("membership", "/v1/groups?limit=20"),
    ("renewals", "/v1/book?limit=20"),
    ("renewals", "/v1/renewals?limit=20"),
    ("transactions", "/v1/transactions?limit=20"),
    ("notifications", "/v1/notifications?limit=20"),
    ("identity", "/v1/access-requests?limit=20"),
)
"""What the carrier's staff look at."""


def everybody(office: Office) -> Iterator[Coroutine[object, object, None]]:
    """All clients of the plan, each with dice of its own."""
    plan, cast = office.plan, office.plan["cast"]
    people = 3 + len(cast["owners"]) + len(cast["reviewers"]) + 6 * len(cast["teams"])

    def client(name: str, account: UserAccount) -> Client:
        rng = random.Random(f"{plan['seed']} {name}")
        return Client(office, f"{plan['name']}/{name}", account, rng=rng, pace_s=people / plan["rate_per_s"])

    groups = [group for owner in cast["owners"] for group in owner["groups"]]
    approvals = iter(range(plan["approvals"]))
    yield change_groups(client("staff", cast["staff"]), groups)
    for number in (1, 2):
        yield look_around(client(f"onlooker{number}", cast["staff"]))
    for number, owner in enumerate(cast["owners"]):
        yield change_renewals(client(f"owner{number}", owner["member"]["account"]), owner)
    for number, reviewer in enumerate(cast["reviewers"]):
        yield review(client(f"reviewer{number}", reviewer["account"]), cast["representative_id"], approvals)
    for number, team in enumerate(cast["teams"]):
        primary, user = team["primary"]["account"], team["user"]["account"]
        yield change_groups(client(f"primary{number}", primary), [team["group"]])
        yield delegate(client(f"giver{number}", primary), client(f"taker{number}", user), team)
        yield read_as_user(client(f"reader{number}", user), team)
        yield write_as_user(client(f"writer{number}", user), team)
        yield renew_as_user(client(f"renewer{number}", user), team)
        yield watch_as_user(client(f"watcher{number}", user), team)


# --- groups ---


async def change_groups(client: Client, groups: list[CastGroup]) -> None:
    """Read a group, and change it as it was read."""
    while not client.ending:
        group = client.rng.choice(groups)
        read = await client.read("membership", f"/v1/groups/{group['id']}", subject=group["id"])
        if read is not None:
            await _change(client, "group.change", group, etag=read.headers["ETag"])


async def _change(client: Client, kind: str, group: CastGroup, *, etag: str, **about: Any) -> None:
    await client.ask(
        kind,
        "PATCH",
        "membership",
        f"/v1/groups/{group['id']}",
        subject=group["id"],
        json={"ein": _new_ein()},
        headers={"If-Match": etag},
        **about,
    )


def _new_ein() -> str:
    """One that no group ever had, whatever the dice: what changes nothing is not told."""
    number = uuid4().int % 10**9
    return f"{number // 10**7:02d}-{number % 10**7:07d}"


async def look_around(client: Client) -> None:
    """Look at what all services show to the carrier's staff."""
    while not client.ending:
        await client.read(*client.rng.choice(SIGHTS))


# --- renewals ---


async def change_renewals(client: Client, owner: Owner) -> None:
    """Open, save, submit, correct, withdraw, and begin again with a copy; one group after the other."""
    left = list(owner["groups"])
    while not client.ending:
        group = client.rng.choice(left or owner["groups"])
        history = await client.read("transactions", f"/v1/transactions?group_id={group['id']}&limit=20")
        if history is None:
            continue
        known = history.json()["items"]
        standing = next((each for each in known if each["status"] != "declined"), None)
        if standing is None:
            await _begin(
                client, group, copied=known[0]["transaction_id"] if known and client.rng.random() < 0.7 else None
            )
        elif standing["status"] in ("open", "action required"):
            await _go_on(client, group, standing["transaction_id"])
        elif standing["status"] == "completed":
            left = [each for each in left if each != group]
        elif client.rng.random() < 0.1:
            await _command(client, "withdraw", group, standing["transaction_id"], "POST", "withdrawal")


async def _begin(client: Client, group: CastGroup, *, copied: str | None) -> None:
    new = {"renewal_id": group["renewal_id"]} | ({"copy_of": copied} if copied else {})
    path = f"/v1/groups/{group['id']}/transactions"
    kind = "transaction.copy" if copied else "transaction.open"
    opened = await client.ask(kind, "POST", "transactions", path, subject=group["id"], json=new)
    if opened is not None:
        transaction_id = opened.json()["transaction_id"]
        await _save(client, "first-save", group, transaction_id, opened.headers["ETag"])


async def _go_on(client: Client, group: CastGroup, transaction_id: str) -> None:
    """Save what is open or came back, or submit it."""
    path = f"/v1/groups/{group['id']}/transactions/{transaction_id}"
    found = await client.read("transactions", path, subject=transaction_id)
    if found is None:
        return
    etag = found.headers["ETag"]
    if client.rng.random() < 0.3:
        saved = await _save(client, "save", group, transaction_id, etag)
        if saved is None:
            return
        etag = saved.headers["ETag"]
    await _command(client, "submit", group, transaction_id, "POST", "submission", headers={"If-Match": etag})


async def _save(client: Client, kind: str, group: CastGroup, transaction_id: str, etag: str) -> httpx.Response | None:
    said = _draft(client.rng)
    headers = {"If-Match": etag}
    return await _command(client, kind, group, transaction_id, "PUT", "draft", json=said, headers=headers)


async def _command(
    client: Client, kind: str, group: CastGroup, transaction_id: str, method: str, what: str, **asks: Any
) -> httpx.Response | None:
    path = f"/v1/groups/{group['id']}/transactions/{transaction_id}/{what}"
    return await client.ask(f"transaction.{kind}", method, "transactions", path, subject=transaction_id, **asks)


def _draft(rng: random.Random) -> dict[str, Any]:
    plan_id = rng.choice(PLANS)
    share = {"basis": "percent", "employee": f"{rng.randrange(100)}.00", "dependents": "0.00"}
    offered = {"employee_class": "Full-time", "plan_ids": [plan_id], "contribution": share}
    wilma = {"first_name": "Wilma", "last_name": "Zimt", "date_of_birth": "1990-01-31"}
    joins = {"subscriber": wilma, "employee_class": "Full-time", "plan_id": plan_id}
    return {"classes": [offered], "enrollments": [joins]}


# --- review ---


async def review(client: Client, representative_id: str, approvals: Iterator[int]) -> None:
    """Claim what waits, and decide it: most is returned, some declined, as many as may be are approved."""
    while not client.ending:
        queue = await client.read("transactions", "/v1/reviews?limit=50")
        waiting = [each for each in queue.json()["items"] if not each["yours"]] if queue is not None else []
        if not waiting:
            continue
        chosen = client.rng.choice(waiting)
        path = f"/v1/reviews/{chosen['transaction_id']}"
        about = {"subject": chosen["transaction_id"]}
        claimed = await client.ask("review.claim", "POST", "transactions", f"{path}/claim", **about)
        if claimed is None:
            continue
        round_number = {"round": claimed.json()["round"]}
        dice = client.rng.random()
        if dice < 0.6:
            asked = {
                "instructions": "Correct it.",
                "required_items": ["A form."],
                "representative_id": representative_id,
            }
            said = round_number | asked
            await client.ask("review.return", "POST", "transactions", f"{path}/return", json=said, **about)
        elif dice < 0.85:
            said = round_number | {"reason": "It can't be."}
            await client.ask("review.decline", "POST", "transactions", f"{path}/decline", json=said, **about)
        elif next(approvals, None) is not None:
            await client.ask("review.approve", "POST", "transactions", f"{path}/approval", json=round_number, **about)


# --- access ---


async def delegate(primary: Client, user: Client, team: Team) -> None:
    """Let the user in by a code, for some seconds, and remove them."""
    while not primary.ending:
        held = await primary.read("identity", _users(team))
        for each in held.json()["items"] if held is not None else ():
            if each["role"] == "secondary" and each["status"] != "removed":
                await _remove(primary, team, each["grant_id"])
        if held is not None and (code := await _add(primary, team)) is not None:
            await _redeem(user, team, code)
            await primary.rest(LET_IN_S * primary.rng.uniform(0.5, 1.5))


async def _add(primary: Client, team: Team) -> str | None:
    """The code that the user got; None when none came."""
    email = team["user"]["email"]
    known = await primary.office.mails(email)
    new = {"first_name": "Uma", "last_name": "Serl", "email": email, "rights": USERS_RIGHTS}
    added = await primary.ask("user.add", "POST", "identity", _users(team), subject=team["group"]["id"], json=new)
    deadline = time.monotonic() + MAIL_S
    after = max((int(str(mail["index"])) for mail in known), default=-1)
    while added is not None and time.monotonic() < deadline and not primary.ending:
        for mail in await primary.office.mails(email, after=after):
            if found := re.search(primary.office.plan["code"], str(mail["text"])):
                return found[1]
        await primary.rest(LOOK_S)
    return None


async def _redeem(user: Client, team: Team, code: str) -> None:
    account_id = team["user"]["account_id"]
    await user.ask(
        "user.redeem",
        "POST",
        "identity",
        "/v1/access-codes/redemption",
        subject=team["group"]["id"],
        person=account_id,
        committed=await user.office.committed(account_id),
        json={"code": code},
        headers={"Prefer": "wait=10"},
        answer_s=15,
    )


async def _remove(primary: Client, team: Team, grant_id: str) -> None:
    await primary.ask(
        "remove",
        "DELETE",
        "identity",
        f"{_users(team)}/{grant_id}",
        subject=team["group"]["id"],
        person=team["user"]["account_id"],
        tells=lambda _: False,
        conclude=partial(_until_removed, primary, team["user"]["account_id"]),
        headers={"Prefer": "wait=10"},
        answer_s=15,
    )


async def _until_removed(primary: Client, account_id: str, op: Op, answer: httpx.Response) -> Op:
    """The operation as it is once "removed" was said, or nobody has said so in time."""
    change = answer.json()
    removed_at = op.finished_at
    deadline = time.monotonic() + REMOVED_S

    async def heard(looked: Op, answer: httpx.Response) -> Op:
        nonlocal removed_at, change
        removed_at, change = looked.finished_at, answer.json()  # the look itself goes on with a pause
        return looked

    while change["status"] == "pending" and time.monotonic() < deadline:
        await primary.read("identity", answer.headers["Location"], conclude=heard)
    if change["status"] != "removed":
        return op
    committed = await primary.office.committed(account_id)
    return replace(op, finished_at=removed_at, shows=True, said=change["how"], committed=committed)


async def read_as_user(client: Client, team: Team) -> None:
    """Read at each service what it shows of the group, whether they may or not."""
    group, person = team["group"], team["user"]["account_id"]
    while not client.ending:
        sight = client.rng.choice(team["sights"])
        about = {"subject": group["id"], "person": person}
        await client.read(sight["service"], sight["path"], names=sight["names"], **about)


async def write_as_user(client: Client, team: Team) -> None:
    """Change the group, with its true version at hand: nothing but the right may be missing."""
    group = team["group"]
    version = 1
    while not client.ending:
        version = await client.office.version(group["id"]) or version
        await _change(
            client, "write", group, etag=f'"{version}"', person=team["user"]["account_id"], tells=_came_through
        )


async def renew_as_user(client: Client, team: Team) -> None:
    """Open a transaction, or withdraw it: whatever stands there, nothing but the right may be missing."""
    group = team["group"]
    path = f"/v1/groups/{group['id']}/transactions"
    about = {"subject": group["id"], "person": team["user"]["account_id"], "tells": _came_through}
    opened: str | None = None
    while not client.ending:
        if opened is None:
            new = {"renewal_id": group["renewal_id"]}
            answer = await client.ask("write.renewal", "POST", "transactions", path, json=new, **about)
            opened = None if answer is None else answer.json()["transaction_id"]
        else:
            await client.ask("write.renewal", "POST", "transactions", f"{path}/{opened}/withdrawal", **about)
            opened = None


async def watch_as_user(client: Client, team: Team) -> None:
    """Have what one may do in the group told, live, by one service after the other."""
    group, person = team["group"]["id"], team["user"]["account_id"]
    while not client.ending:
        path = f"/v1/groups/{group}/access/events"
        await client.watch(client.rng.choice(WATCHED), path, seconds=WATCHED_S, subject=group, person=person)


def _came_through(answer: httpx.Response) -> bool:
    """Whether the answer comes from behind the check of rights."""
    return answer.status_code < 500 and answer.status_code not in REFUSALS


def _users(team: Team) -> str:
    return f"/v1/groups/{team['group']['id']}/users"
