"""Finding the platform that a command is about: the stack that runs in a folder, or a Kafka given by settings."""

import json
import os
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx
from covey_chassis.settings import KafkaSettings
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from covey_local.home import RunFile
from covey_local.mail import Message
from covey_local.refused import Refused


def read_run_file(folder: Path) -> RunFile:
    """Where everything of the folder's stack is. Raises ``Refused`` when none is up."""
    try:
        run: RunFile = json.loads((folder / "run.json").read_text())
    except FileNotFoundError:
        raise Refused(f"No stack is up in {folder}: there is no run.json. `covey run` starts one.") from None
    return run


def kafka_settings(folder: Path) -> KafkaSettings:
    """``COVEY_KAFKA_...`` from the environment where they are set, else the running stack's Kafka.

    Raises ``Refused`` when they do not fit together, or no stack is up.
    """
    if "COVEY_KAFKA_BOOTSTRAP_SERVERS" in os.environ:
        try:
            return KafkaSettings()
        except ValidationError as error:
            raise Refused(f"COVEY_KAFKA_... are not right: {error}") from error
    return KafkaSettings(bootstrap_servers=read_run_file(folder)["kafka"])


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


Answer = TypeVar("Answer")


class Operator:
    """A service's operator routes. Every method raises ``Refused`` when the service refuses or does not answer."""

    def __init__(self, run: RunFile, service: str) -> None:
        if service not in run["services"]:
            raise Refused(f"There is no service {service}. There are: {', '.join(run['services'])}.")
        self.service = service
        self._client = httpx.Client(
            base_url=run["services"][service],
            headers={"Authorization": f"Bearer {run['operator_token']}"},
            timeout=15,
            trust_env=False,
        )

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

    def _ask(
        self,
        kind: type[Answer],
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str | int] | None = None,
    ) -> Answer:
        try:
            answer = self._client.request(method, path, params=query, json=body)
        except httpx.HTTPError as error:
            raise Refused(f"{self.service} does not answer: {error}") from error
        if answer.is_error:
            raise Refused(f"{self.service}: {_why(answer)}")
        return TypeAdapter(kind).validate_json(answer.content)


def move_dates(run: RunFile, offset_days: int) -> dict[str, Today]:
    """Set the date of all services, so that it runs ``offset_days`` ahead of the real one.

    Raises ``Refused``, before anything moves, when a service is further ahead already: a date never goes back.
    """
    operators = [Operator(run, name) for name in run["services"]]
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


def _why(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem.get('detail') or problem['title']} ({answer.status_code} {problem.get('code', '')})"
    except (ValueError, KeyError, AttributeError):
        return f"{answer.status_code} {answer.reason_phrase}"
