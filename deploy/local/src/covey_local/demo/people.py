"""People of the demo. They do what people do: fill in forms, read their emails, sign on."""

import re
import secrets
from dataclasses import dataclass, field
from typing import cast

import httpx

from covey_local.demo.platform import NOBODY, Api, Json, wait_for
from covey_local.home import UserAccount
from covey_local.refused import why
from covey_local.sign_on import SignOn

VERIFY = "Please confirm your email address"
HAVE_ACCOUNT = "You have an account already"


class NotAsItShould(Exception):
    """A service answered otherwise than the story needs to go on; the message says what was done and what came."""


def must(answer: httpx.Response, status: int, what: str) -> httpx.Response:
    """The answer, when it has this status. Raises ``NotAsItShould``."""
    if answer.status_code != status:
        raise NotAsItShould(f"{what}: {why(answer) if answer.is_error else answer.status_code}, not {status}")
    return answer


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    first_name: str
    email: str
    user_id: str
    account_id: str
    account: UserAccount = field(repr=False)
    sign_on: SignOn


@dataclass
class Inbox:
    """The emails of the story's people. Each is read once, and all that were read are kept by their Message-IDs."""

    api: Api
    read: set[str] = field(default_factory=set)

    async def letter(self, to: str, subject: str, having: str = "") -> Json:
        """Wait for an email that was not read before: its subject begins so, and its text has this in it."""

        async def look() -> Json | None:
            for mail in await self.api.mails(to=to):
                wanted = mail["subject"].startswith(subject) and having in one_line(mail["text"])
                if wanted and mail["message_id"] not in self.read:
                    return mail
            return None

        mail = await wait_for(look, f"no email to {to}: {subject}", self.api.patience_s)
        self.read.add(cast("str", mail["message_id"]))
        return mail


def one_line(text: str | None) -> str:
    """The text, however its lines are broken."""
    return " ".join((text or "").split())


def found_in(mail: Json, pattern: str) -> str:
    """What a reader of the email takes from it. Raises ``NotAsItShould`` when it is not there."""
    found = re.search(pattern, one_line(mail["text"]))
    if found is None:
        raise NotAsItShould(f"the email {mail['subject']!r} does not say what it is for")
    return found[1]


def code_in(mail: Json) -> str:
    """The access code, as it is printed."""
    return found_in(mail, r"enter this code: ([0-9A-Z]{4}(?:[- ]+[0-9A-Z]{4}){3})\b")


async def register(inbox: Inbox, first_name: str, email: str) -> Person:
    """Ask for an account, prove the address with what the email says, and choose a password."""
    api = inbox.api
    form = {
        "market_region": "California",
        "first_name": first_name,
        "last_name": "Ostby",
        "company": "Ostby & Company",
        "email": email,
        "terms_version": "2026-01",
        "terms_accepted": True,
    }

    async def ask() -> None:
        must(await api.send("POST", "identity", "/v1/registrations", by=NOBODY, json=form), 202, "registering")

    await ask()
    token = found_in(await inbox.letter(email, VERIFY), r"page that asks for it: (.+?) It works once").replace(" ", "")
    password = secrets.token_hex(12)
    verified = await api.send(
        "POST", "identity", "/v1/registrations/verification", by=NOBODY, json={"token": token, "password": password}
    )
    if verified.status_code == 422 and "verification-not-good" in verified.text:
        # It was done, but whoever did it was killed before they could answer: ask for the user ID.
        await ask()
        user_id = found_in(await inbox.letter(email, HAVE_ACCOUNT), r"Your user ID: (\w+)")
    else:
        user_id = must(verified, 201, "verifying an address").json()["user_id"]
    account = UserAccount(user_id=user_id, password=password)
    signed_on = api.signed_on(account)
    known = must(await api.send("GET", "identity", "/v1/account", by=signed_on), 200, "reading one's account").json()
    return Person(first_name, email, user_id, known["account_id"], account, signed_on)
