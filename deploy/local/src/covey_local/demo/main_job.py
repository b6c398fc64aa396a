"""The main job: a broker changes a group's renewal in several sittings, a reviewer returns it, a program approves it.

All of it by HTTP, but for the program: that decides over Kafka alone, and is one of ``examples/``. What must come of it is
written down before: what is told of the transaction, how the renewal stands after each step, and the plans in the end.
"""

import json
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast

import httpx
from covey_chassis.settings import KafkaSettings

from covey_local.demo.access import Access
from covey_local.demo.forecast import next_anniversary
from covey_local.demo.people import Person, must, one_line, register
from covey_local.demo.platform import REVIEWER, Api, Json, Program, ms_since, program, wait_for
from covey_local.demo.story import Story
from covey_local.demo.watch import Request, WatchedGroup, begin, save, submit

TOLD = [
    "covey.transaction.opened.v1",
    "covey.transaction.submitted.v1",
    "covey.review.claimed.v1",
    "covey.review.returned.v1",
    "covey.transaction.submitted.v1",
    "covey.review.approved.v1",
]
"""What the world hears of the transaction: this, in this order, and nothing else."""
RENEWAL_STOOD = [
    "available",
    "in progress",
    "pending review",
    "action required",
    "pending review",
    "completed",
]
ANSWERED_TO_PROGRAM = {(1, "refused", "round-is-over"), (2, "decided", None)}
"""It comes after the first round was decided."""
GROUP_EVENTS = ("covey.group.registered.v1", "covey.group.changed.v1")
RENEWAL_EVENTS = ("covey.renewal.available.v1", "covey.renewal.changed.v1")
APPROVED, COMMAND, ANSWER = TOLD[-1], "covey.review.decision.v1", "covey.review.decision-answered.v1"

TO_REVIEW = "submission to pending review"
TO_EMAIL = "return to broker's email"
TO_ANSWER = "program's command to its answer"
TO_GROUP = "approval to the group's new plans"

FAMILY = "Zimtstern"
"""Of whoever joins or leaves. Nobody but who may see them reads it anywhere."""
INSTRUCTIONS = "Let the employer pay at least half of the premium, and offer the gold plan."
REQUIRED = "A wage report of the last quarter."
HELPER = {"name": "Hilde Helm", "phone": "+1 555 0134", "email": "hilde.helm@carrier.example"}


# --- what the broker enters ---


def draft(plan_id: str, employee: str | None, dependents: str | None, *, born: str | None) -> Json:
    """Changes for one class of employees: a subscriber joins with a child, another one leaves."""
    basis = "percent" if employee is not None else None
    return {
        "classes": [
            {
                "employee_class": "Full-time",
                "plan_ids": [plan_id],
                "contribution": {"basis": basis, "employee": employee, "dependents": dependents},
            }
        ],
        "enrollments": [
            {
                "subscriber": {"first_name": "Wilma", "last_name": FAMILY, "date_of_birth": born},
                "already_covered": False,
                "employee_class": "Full-time",
                "plan_id": plan_id,
                "dependents": [
                    {
                        "first_name": "Wim",
                        "last_name": FAMILY,
                        "date_of_birth": "2020-02-29",
                        "relationship": "child",
                    }
                ],
            }
        ],
        "terminations": [
            {
                "subscriber": {"first_name": "Otto", "last_name": FAMILY, "date_of_birth": "1961-12-31"},
                "stays_covered": False,
                "dependents": [],
                "reason": "left employment",
            }
        ],
    }


SILVER, GOLD = "SILVER-70-HMO", "GOLD-80-PPO"
FIRST_DRAFT = draft(SILVER, None, None, born=None)
"""As far as it was known in the first sitting: this can't be submitted."""
SUBMITTED = draft(SILVER, "40.00", "0.00", born="1990-01-31")
CORRECTED = draft(GOLD, "75.00", "50.00", born="1990-01-31")


# --- the story ---


async def main_job(access: Access, *, kafka: KafkaSettings, folder: Path) -> None:
    """Tell it of a group whose renewal is available.

    Raises:
        NotAsItShould, NotInTime: it can't go on.
    """
    story = access.story
    reviewer = await _reviewer(story)
    helper = must(await story.api.send("POST", "transactions", "/v1/representatives", json=HELPER), 201, "a helper")
    helper_id = str(helper.json()["representative_id"])
    etag = await _first_sitting(access)
    await _second_sitting(access, etag)
    await _is_returned(access, reviewer, helper_id)
    await _third_sitting(access)
    program_id = await _program_approves(access, helper_id, kafka, folder)
    await _is_completed(access, [reviewer.account_id, program_id])
    await _too_late(story, reviewer)


async def _first_sitting(access: Access) -> str:
    """The broker sees the plans, and begins. The version of what was saved."""
    story, broker = access.story, access.broker
    await _see_plans(access)
    group = story.group
    opened = await _command(access, begin(group), 201)
    story.group = group = replace(group, transaction_id=str(opened.json()["transaction_id"]))
    history = f"/v1/transactions?group_number={group.number}"
    listed = await story.api.get("transactions", history, by=broker.sign_on)
    story.check(not listed["items"], "a transaction that was never saved is listed")
    saved = await _command(access, save(group, FIRST_DRAFT, opened.headers["ETag"]))
    listed = await story.api.get("transactions", history, by=broker.sign_on)
    story.check(len(listed["items"]) == 1, "a transaction that was saved is not listed once")
    await _renewal_becomes(story, "in progress")
    story.say(f"{group.number}: the broker saw the plans of {_plan_year(story)}, saved a first draft, and went home")
    return saved.headers["ETag"]


async def _second_sitting(access: Access, etag: str) -> None:
    """Somewhere else, and signed on anew, the broker finds it by its ID as it was, completes and submits it."""
    story, broker = access.story, access.broker
    elsewhere = story.api.elsewhere()
    try:
        found = await _read(story, by=elsewhere.signed_on(broker.account), api=elsewhere)
    finally:
        await elsewhere.close()
    story.check(_says(found.json()["draft"], FIRST_DRAFT), "the draft was found otherwise than it was saved")
    story.check(found.headers["ETag"] == etag, "the draft was found as another version than was saved")
    ms = await _submit(access, SUBMITTED, found.headers["ETag"], round_number=1)
    story.say(f"found again as it was, completed and submitted; pending review after {ms:.0f} ms")


async def _is_returned(access: Access, reviewer: Person, helper_id: str) -> None:
    """A reviewer finds it in the queue, keeps others from it, and sends it back with what is to be done."""
    story, api, by = access.story, access.story.api, reviewer.sign_on
    review = f"/v1/reviews/{story.group.transaction_id}"
    story.check(await _queue(story, by, "free") == [story.group.transaction_id], "it is not free in the queue")
    must(await api.send("POST", "transactions", f"{review}/claim", by=by), 200, "claiming")
    story.check(await _queue(story, by, "mine") == [story.group.transaction_id], "it is not claimed in the queue")
    whole = must(await api.send("GET", "transactions", review, by=by), 200, "reading what is to be reviewed").json()
    story.check(_says(whole["rounds"][0]["content"], SUBMITTED), "the reviewer sees something else than was submitted")
    asked = {"round": 1, "instructions": INSTRUCTIONS, "required_items": [REQUIRED], "representative_id": helper_id}
    since = time.time()
    must(await api.send("POST", "transactions", f"{review}/return", by=by, json=asked), 200, "returning")
    await _renewal_becomes(story, "action required")
    mail = await _letter(story, access.broker.email, "Action required", INSTRUCTIONS)
    story.took(TO_EMAIL, ms_since(mail["received_at"], since))
    missing = [said for said in (REQUIRED, *HELPER.values()) if said not in one_line(mail["text"])]
    story.check(not missing, f"the broker was not told of {missing}")
    await _letter(story, HELPER["email"], "Assigned to you", INSTRUCTIONS)
    story.say(
        f"a reviewer claimed it and sent it back; the broker and the representative read why {story.last(TO_EMAIL)}"
    )


async def _third_sitting(access: Access) -> None:
    """The broker reads what is to be done, does it, and submits again."""
    story = access.story
    found = await _read(story, by=access.broker.sign_on)
    view = found.json()
    told = [view["status"], view["instructions"], view["required_items"], view["representative"]["name"]]
    story.check(told == ["action required", INSTRUCTIONS, [REQUIRED], HELPER["name"]], f"the broker reads {told}")
    ms = await _submit(access, CORRECTED, found.headers["ETag"], round_number=2)
    story.say(f"corrected and submitted again; pending review after {ms:.0f} ms")


async def _program_approves(access: Access, helper_id: str, kafka: KafkaSettings, folder: Path) -> str:
    """A program with a key of its own decides over Kafka: too late for the first round, in time for the second."""
    story = access.story
    key = folder / "reviewing_program.jwk"
    account_id = await _program_account(story, key)
    arguments = ["--key", str(key), "--account", account_id, "--representative", helper_id]
    async with program(REVIEWER, kafka, arguments, folder) as reviewing:
        await wait_for(
            lambda: _both_answered(story, reviewing), "a program was not answered", story.api.patience_s + 10
        )
        code = await reviewing.end()
    story.check(code == 0, f"the reviewing program ended with {code}")
    said = {(line["round"], line["outcome"], line["refusal"]) for line in reviewing.lines}
    story.check(said == ANSWERED_TO_PROGRAM, f"the reviewing program was answered {said}")
    command_id = next(line["command_id"] for line in reviewing.lines if line["round"] == 2)
    answer = await wait_for(lambda: _answer(story, command_id), "no answer on Kafka", story.api.patience_s)
    story.took(TO_ANSWER, ms_since(answer["received"], _sent(story, command_id)))
    story.say(f"a program of its own signed its approval; answered over Kafka {story.last(TO_ANSWER)}")
    return account_id


async def _is_completed(access: Access, reviewers: list[str]) -> None:
    """The renewal is completed, the group has the plans that were approved, and who is concerned has read so."""
    story, group = access.story, access.story.group
    planned = partial(_planned, plan_year=_plan_year(story))
    await _renewal_becomes(story, "completed")

    async def both() -> tuple[Json, Json] | None:
        approved = _heard(story, APPROVED)
        changed = [each for each in _heard(story, *GROUP_EVENTS) if planned(each["data"]) == [GOLD]]
        return (approved[0], changed[0]) if approved and changed else None

    approved, changed = await wait_for(both, "nobody was told of the new plans", story.api.patience_s)
    story.took(TO_GROUP, ms_since(changed["received"], _moment(approved["time"])))
    shown = await story.api.get("membership", f"/v1/groups/{group.id}", by=access.broker.sign_on)
    story.check(planned(shown) == [GOLD], f"membership shows the plans {planned(shown)}")
    story.changed["plans"] = f"{story.row['plans']}|{_plan_year(story)}:{GOLD}"
    for address in (access.broker.email, story.row["contract_signer_email"]):
        await _letter(story, address, "Renewal changes approved")
    view = (await _read(story, by=access.broker.sign_on)).json()
    rounds = [(each["outcome"], each["decided_by"]) for each in view["rounds"]]
    expected = list(zip(["returned", "approved"], reviewers, strict=True))
    story.check((view["status"], rounds) == ("completed", expected), f"it reads as {view['status']}, {rounds}")
    contents = [_says(each["content"], was) for each, was in zip(view["rounds"], [SUBMITTED, CORRECTED], strict=True)]
    story.check(all(contents), "what was submitted in a round is not what is kept of it")
    story.say(f"{group.number}: renewal completed; the group has its new plans {story.last(TO_GROUP)}")


async def _too_late(story: Story, reviewer: Person) -> None:
    """Nothing decides it any more."""
    review = f"/v1/reviews/{story.group.transaction_id}"
    for decision, more in (("approval", {}), ("decline", {"reason": "Never mind."})):
        answer = await story.api.send(
            "POST", "transactions", f"{review}/{decision}", by=reviewer.sign_on, json={"round": 2} | more
        )
        refused = (answer.status_code, answer.json().get("code"))
        story.check(refused == (409, "illegal-move"), f"a late {decision} was answered with {refused}")


# --- what was told ---


async def check_told(story: Story) -> None:
    """At the very end: everything was told once, in its order, and nobody's name with it."""
    for wrong in told_wrongly(story.stranger.look(), story.group, _plan_year(story)):
        story.note(wrong)
    story.check(FAMILY not in json.dumps(await story.api.mails()), "a person who joins or leaves is named in an email")


def told_wrongly(events: Sequence[Json], group: WatchedGroup, plan_year: int) -> Iterator[str]:
    """What among all events is otherwise than it must be."""
    told = [event["type"] for event in _told_of(events, group.transaction_id, TOLD)]
    if told != TOLD:
        yield f"of the transaction was told: {told}"
    stood = [event["data"]["status"] for event in _told_of(events, group.renewal_id, RENEWAL_EVENTS)]
    if stood[-len(RENEWAL_STOOD) :] != RENEWAL_STOOD:
        yield f"the renewal stood: {stood}"
    planned = [_planned(event["data"], plan_year) for event in _told_of(events, group.id, GROUP_EVENTS)]
    changes = [(before, after) for before, after in pairwise(planned) if before != after]
    if changes != [([], [GOLD])]:
        yield f"the group's coming plans changed: {changes}"
    answers = {
        (event["data"]["outcome"], event["data"]["refusal"])
        for event in events
        if event["type"] == ANSWER and event["subject"] == group.transaction_id
    }
    if answers != {(outcome, refusal) for _, outcome, refusal in ANSWERED_TO_PROGRAM}:
        yield f"programs were answered: {answers}"
    if FAMILY in json.dumps(events):
        yield "a person who joins or leaves is named in an event"


def _told_of(events: Sequence[Json], subject: str, types: Sequence[str]) -> list[Json]:
    """What was told of one aggregate, in its order."""
    found = [event for event in events if event["subject"] == subject and event["type"] in types]
    return sorted(found, key=lambda event: cast("int", event["sequence"]))


# --- its steps ---


async def _reviewer(story: Story) -> Person:
    """Somebody of the staff who decides, and does nothing else."""
    reviewer = await register(story.inbox, "Revi", "reviewer@carrier.example")
    await _may_decide(story, reviewer.account_id)
    return reviewer


async def _program_account(story: Story, key: Path) -> str:
    """An account for a program that decides, with the key that it has made."""
    api = story.api
    made = must(await api.send("POST", "identity", "/v1/programs", json={"name": "half and more"}), 201, "a program")
    account_id = str(made.json()["account_id"])
    shown = subprocess.run(  # noqa: ASYNC221 - some tenths of a second
        [sys.executable, "-I", str(REVIEWER), "--key", str(key), "--show-key"], check=True, capture_output=True
    )
    body = {"jwk": json.loads(shown.stdout)}
    must(await api.send("POST", "identity", f"/v1/programs/{account_id}/keys", json=body), 201, "registering a key")
    await _may_decide(story, account_id)
    return account_id


async def _may_decide(story: Story, account_id: str) -> None:
    rights = {"rights": ["review.decide"]}
    must(await story.api.send("PUT", "identity", f"/internal/staff/{account_id}", json=rights), 200, "staff rights")
    await story.api.access_is_everywhere()


async def _see_plans(access: Access) -> None:
    """What there is to choose from is what the book said, and until when."""
    story, group = access.story, access.story.group
    effective = _effective(story)
    had = sorted(each.partition(":")[2] for each in story.row["plans"].split("|"))
    expected = {
        "plan_year": effective.year,
        "effective_date": effective.isoformat(),
        "last_day": (effective - timedelta(days=1)).isoformat(),
        "now": had,
        "planned": [],
        "offered": had,
    }
    asked = Request("GET", "transactions", f"/v1/groups/{group.id}/renewals/{group.renewal_id}/plans")
    await story.until_answered(asked, access.broker.sign_on, "who may change the renewal")
    seen = await story.api.get(asked.service, asked.path, by=access.broker.sign_on)
    shown = {name: sorted(value) if isinstance(value, list) else value for name, value in seen.items()}
    story.check(shown == expected, f"the plans to choose from are {shown}, not {expected}")


async def _submit(access: Access, content: Json, etag: str, *, round_number: int) -> float:
    """Save and submit it; after how many milliseconds the renewal says so."""
    story, group = access.story, access.story.group
    saved = await _command(access, save(group, content, etag))
    since = time.monotonic()
    submitted = (await _command(access, submit(group, saved.headers["ETag"]))).json()
    stands = (submitted["status"], submitted["round"])
    story.check(stands == ("pending review", round_number), f"once submitted it stands {stands}")
    await _renewal_becomes(story, "pending review")
    story.took(TO_REVIEW, (time.monotonic() - since) * 1000)
    await _letter(story, access.broker.email, "Submission received")
    return story.times[TO_REVIEW][-1]


async def _command(access: Access, request: Request, status: int = 200) -> httpx.Response:
    """The broker does it."""
    answer = await access.story.api.send(
        request.method, request.service, request.path, by=access.broker.sign_on, **request.options
    )
    access.commands.append(request)
    return must(answer, status, str(request))


async def _read(story: Story, *, by: httpx.Auth, api: Api | None = None) -> httpx.Response:
    path = f"/v1/groups/{story.group.id}/transactions/{story.group.transaction_id}"
    return must(await (api or story.api).send("GET", "transactions", path, by=by), 200, "reading a transaction")


async def _queue(story: Story, by: httpx.Auth, claimed: str) -> list[str]:
    params = {"claimed": claimed, "group_number": story.group.number}
    queue = await story.api.get("transactions", "/v1/reviews", by=by, params=params)
    return [each["transaction_id"] for each in queue["items"]]


async def _renewal_becomes(story: Story, status: str) -> None:
    async def look() -> bool | None:
        found = await story.api.get("renewals", f"/v1/renewals/{story.group.renewal_id}")
        return found["status"] == status or None

    await wait_for(look, f"the renewal did not become {status}", story.api.patience_s)


async def _letter(story: Story, to: str, subject: str, having: str = "") -> Json:
    mail = await story.inbox.letter(to, subject, having)
    story.check(story.group.transaction_id in mail["text"], f"{subject!r} to {to} does not say what it is about")
    return mail


# --- reading what others' programs wrote ---


def _heard(story: Story, *types: str) -> list[Json]:
    """Events about the group or its transaction, commands and answers included."""
    subjects = (story.group.id, story.group.transaction_id)
    return [each for each in story.stranger.look() if each["type"] in types and each["subject"] in subjects]


async def _both_answered(story: Story, reviewing: Program) -> bool | None:
    ours = {line["round"] for line in reviewing.look() if line["transaction_id"] == story.group.transaction_id}
    return True if ours == {1, 2} else None


async def _answer(story: Story, command_id: str) -> Json | None:
    return next((each for each in _heard(story, ANSWER) if each["data"]["command_id"] == command_id), None)


def _sent(story: Story, command_id: str) -> float:
    """When the program first sent the command."""
    return min(_moment(each["time"]) for each in _heard(story, COMMAND) if _claims(each)["jti"] == command_id)


def _claims(command: Json) -> Json:
    """What a signed command says (RFC 7515); whether the signature is good is not for a stranger to ask."""
    said = str(command["data"]["signed"]).split(".")[1]
    return cast("Json", json.loads(urlsafe_b64decode(said + "=" * (-len(said) % 4))))


def _moment(said: str) -> float:
    return datetime.fromisoformat(said).timestamp()


# --- what the book says ---


def _effective(story: Story) -> date:
    return next_anniversary(date.fromisoformat(story.row["renewal_date"]), story.today)


def _plan_year(story: Story) -> int:
    return _effective(story).year


def _planned(group: Json, plan_year: int) -> list[str]:
    """The group's plans of the coming plan year."""
    return [each["plan_id"] for each in group["plans"] if each["plan_year"] == plan_year]


def _says(view: Json, draft: Json) -> bool:
    return {name: view.get(name) for name in draft} == draft
