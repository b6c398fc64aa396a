"""Finding the platform that a command is about: the stack that runs in a folder, or a Kafka given by settings."""

import getpass
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
from covey_chassis.clock import Clock
from covey_chassis.settings import KafkaSettings
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from covey_local.credentials import signed_on
from covey_local.home import RunFile
from covey_local.mail import Message
from covey_local.refused import Refused, why


def read_run_file(folder: Path) -> RunFile:
    """Where everything of the folder's stack is. Raises ``Refused`` when none is up."""
    try:
        run: RunFile = json.loads((folder / "run.json").read_text())
    except FileNotFoundError:
        raise Refused(f"No stack is up in {folder}: there is no run.json. `covey run` starts one.") from None
    return run


def kafka_settings(folder: Path, principal: str) -> KafkaSettings:
    """``COVEY_KAFKA_...`` from the environment where they are set, else the running stack's Kafka by this principal.

    Raises ``Refused`` when they do not fit together, or no stack is up.
    """
    if "COVEY_KAFKA_BOOTSTRAP_SERVERS" in os.environ:
        try:
            return KafkaSettings()
        except ValidationError as error:
            raise Refused(f"COVEY_KAFKA_... are not right: {error}") from error
    run = read_run_file(folder)
    return signed_on(run["kafka"], principal, run["kafka_passwords"][principal])


class Letter(BaseModel):
    """A dead letter, as far as a list shows it."""

    id: str
    kind: str
    state: str
    consumer: str | None = None
    attempts: int | None = None
    records: int | None = None
    error: str | None = None


class Letters(BaseModel):
    """A page of dead letters."""

    items: list[Letter]
    next: str | None = None


class Today(BaseModel):
    """What day it is for a service."""

    today: date
    offset_days: int


class StaffMember(BaseModel):
    """A member of the carrier's staff."""

    account_id: str
    user_id: str
    first_name: str
    last_name: str
    program_name: str | None = None
    email: str | None = None
    rights: list[str]

    @property
    def name(self) -> str:
        """A person's, or a program's."""
        return self.program_name or f"{self.first_name} {self.last_name}"


class NewStaffMember(BaseModel):
    """Somebody who was made a member of the staff. The password is told once, and not to whom has an account."""

    account_id: str
    user_id: str
    password: str | None = None


class Listener(BaseModel):
    """A service that listens to access: up to which revision nobody acts by older facts there."""

    name: str
    acked_rev: int
    counts_from: datetime
    retired_at: datetime | None

    def has_reached(self, rev: int) -> bool:
        """What a server says that has just taken another one's place does not count yet."""
        return self.retired_at is not None or (self.acked_rev >= rev and self.counts_from <= Clock.now())


class Listeners(BaseModel):
    """Who listens, and the revision that they are to reach."""

    rev: int
    listeners: list[Listener]


class StaffPage(BaseModel):
    """A page of the carrier's staff."""

    items: list[StaffMember]
    next: str | None = None


Answer = TypeVar("Answer")
LOOK_S = 0.05


class Operator:
    """A service's operator routes. Every method raises ``Refused`` when the service refuses or does not answer."""

    def __init__(self, service: str, *, url: str, token: str) -> None:
        self.service = service
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "X-Operator": _whoever_this_is()},
            timeout=15,
            trust_env=False,
        )

    @classmethod
    def of(cls, run: RunFile, service: str) -> Self:
        """Those of a service of the stack that runs."""
        if service not in run["services"]:
            raise Refused(f"There is no service {service}. There are: {', '.join(run['services'])}.")
        return cls(service, url=run["services"][service], token=run["operator_token"])

    def dead_letters(self) -> Iterator[Letter]:
        """Everything that waits, the oldest first."""
        after: str | None = ""
        while after is not None:
            page = self._ask(Letters, "GET", "/internal/dead-letters", query={"after": after} if after else {})
            yield from page.items
            after = page.next

    def dead_letter(self, letter: str) -> dict[str, JsonValue]:
        """All that is known of one."""
        return self._ask(dict[str, JsonValue], "GET", _path(letter))

    def retry(self, letter: str, reason: str) -> dict[str, JsonValue]:
        """Try it again now. Returns the act as it was written down."""
        return self._ask(dict[str, JsonValue], "POST", f"{_path(letter)}/retry", body={"reason": reason})

    def discard(self, letter: str, reason: str) -> dict[str, JsonValue]:
        """Give up its first record. Returns the act as it was written down."""
        return self._ask(dict[str, JsonValue], "POST", f"{_path(letter)}/discard", body={"reason": reason})

    def today(self) -> Today:
        """What day it is."""
        return self._ask(Today, "GET", "/internal/date")

    def move_date(self, offset_days: int) -> Today:
        """Let the date run so many days ahead of the real one."""
        return self._ask(Today, "POST", "/internal/date", body={"offset_days": offset_days})

    def make_staff(self, *, first_name: str, last_name: str, email: str, rights: Sequence[str]) -> NewStaffMember:
        """Identity only: an account with these staff rights; whoever has one by that address has these rights then."""
        body = {"first_name": first_name, "last_name": last_name, "email": email, "rights": list(rights)}
        return self._ask(NewStaffMember, "POST", "/internal/staff", body=body)

    def set_staff_rights(self, account_id: str, rights: Sequence[str]) -> StaffMember:
        """Identity only: let whoever has this account, a person or a program, have these staff rights and no others."""
        path = f"/internal/staff/{quote(account_id, safe='')}"
        return self._ask(StaffMember, "PUT", path, body={"rights": list(rights)})

    def staff(self) -> Iterator[StaffMember]:
        """Identity only: everybody who has a staff right."""
        after: str | None = ""
        while after is not None:
            page = self._ask(StaffPage, "GET", "/internal/staff", query={"after": after} if after else {})
            yield from page.items
            after = page.next

    def remove_staff(self, account_id: str) -> None:
        """Identity only: take all staff rights from somebody."""
        self._send("DELETE", f"/internal/staff/{quote(account_id, safe='')}")

    def wait_until_everywhere(self) -> None:
        """Identity only: wait until what it has just committed is true in every service.

        Either each has said so, or has been silent for longer than it could go by what was before.
        """
        from covey_chassis.access.facts import SILENT_S  # noqa: PLC0415 - the routes' libraries come with it

        deadline = time.monotonic() + SILENT_S
        rev: int | None = None
        while time.monotonic() < deadline:
            found = self._ask(Listeners, "GET", "/internal/access/listeners")
            rev = found.rev if rev is None else rev
            if all(each.has_reached(rev) for each in found.listeners):
                return
            time.sleep(LOOK_S)

    def _ask(
        self,
        kind: type[Answer],
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Answer:
        return TypeAdapter(kind).validate_json(self._send(method, path, query=query, body=body).content)

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, params=query, json=body)
        except httpx.HTTPError as error:
            raise Refused(f"{self.service} does not answer: {error}") from error
        if answer.is_error:
            raise Refused(f"{self.service}: {why(answer)}")
        return answer


def identitys_operator(folder: Path) -> Operator:
    """Identity at ``COVEY_IDENTITY_URL`` with ``COVEY_OPERATOR_TOKEN`` where they are set, else the running stack's.

    Raises ``Refused`` when only one of them is set, or no stack is up.
    """
    url, token = os.environ.get("COVEY_IDENTITY_URL"), os.environ.get("COVEY_OPERATOR_TOKEN")
    if url and token:
        return Operator("identity", url=url, token=token)
    if url:
        raise Refused("COVEY_IDENTITY_URL needs COVEY_OPERATOR_TOKEN.")
    return Operator.of(read_run_file(folder), "identity")


def move_dates(run: RunFile, offset_days: int) -> dict[str, Today]:
    """Set the date of all services, so that it runs ``offset_days`` ahead of the real one.

    Raises ``Refused``, before anything moves, when a service is further ahead already: a date never goes back.
    """
    operators = [Operator.of(run, name) for name in run["services"]]
    ahead = {operator.service: operator.today().offset_days for operator in operators}
    if too_far := [f"{name} ({days} days)" for name, days in ahead.items() if days > offset_days]:
        raise Refused(
            f"A date can't go back: that would be {offset_days} days ahead of the real one, and further ahead already: "
            f"{', '.join(too_far)}. `covey run --fresh` starts over with today."
        )
    return {operator.service: operator.move_date(offset_days) for operator in operators}


def read_mail(run: RunFile, *, to: str | None = None) -> list[Message]:
    """What the mail catcher has caught, the newest last."""
    try:
        answer = httpx.get(f"{run['mail']}/messages", params={"to": to} if to else {}, timeout=15, trust_env=False)
    except httpx.HTTPError as error:
        raise Refused(f"The mail catcher does not answer: {error}") from error
    messages: list[Message] = answer.raise_for_status().json()
    return messages


def _path(letter: str) -> str:
    return f"/internal/dead-letters/{quote(letter, safe='')}"


def _whoever_this_is() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "operator"
