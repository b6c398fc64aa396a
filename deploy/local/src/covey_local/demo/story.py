"""What all stories of the demo have in common: one group, who tells what happened there, and what went wrong."""

from dataclasses import dataclass, field
from datetime import date

import httpx
from rich.console import Console

from covey_local.demo.book import Row
from covey_local.demo.people import Inbox
from covey_local.demo.platform import Api, Program, wait_for
from covey_local.demo.watch import Request, WatchedGroup, answered


@dataclass(kw_only=True)
class Story:
    """One group, and what has happened to it so far."""

    api: Api
    stranger: Program
    """Follows all topics; its lines are the events."""
    inbox: Inbox
    console: Console
    today: date
    row: Row
    """The group as the book says, as it came in."""
    group: WatchedGroup
    times: dict[str, list[float]] = field(default_factory=dict)
    """What took how long, in milliseconds."""
    changed: Row = field(default_factory=dict)
    """What the book has to say otherwise of the group from now on."""
    wrong: list[str] = field(default_factory=list)

    @property
    def emails(self) -> int:
        """How many were due, and came."""
        return len(self.inbox.read)

    def check(self, right: bool, otherwise: str) -> None:
        if not right:
            self.note(otherwise)

    def note(self, wrong: str) -> None:
        self.wrong.append(f"{self.group.number}: {wrong}")

    def took(self, what: str, ms: float) -> None:
        self.times.setdefault(what, []).append(ms)

    def last(self, what: str) -> str:
        """How long it took the last time."""
        return f"after {self.times[what][-1]:.0f} ms"

    def say(self, what: str) -> None:
        self.console.print(f"{self.today}  {what}", highlight=False)

    async def is_answered(self, request: Request, by: httpx.Auth) -> bool:
        return bool(await answered(self.api, by, self.group, [request]))

    async def until_answered(self, request: Request, by: httpx.Auth, what: str) -> None:
        async def look() -> bool | None:
            return await self.is_answered(request, by) or None

        await wait_for(look, f"{request} was not answered to {what}", self.api.patience_s)
