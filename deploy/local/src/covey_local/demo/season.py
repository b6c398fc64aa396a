"""The season: a book comes in, the date moves day by day, every renewal becomes available once, everyone is told once.

Nothing here asks the services whether they did well: what must happen is worked out in ``forecast``, what did happen is
read from Kafka by a stranger's program and from the mail catcher's inbox.
"""

import asyncio
import os
import random
import signal
import statistics
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from covey_contracts import EVENTS
from rich.console import Console
from rich.table import Table

from covey_local.credentials import DOWNSTREAM, PROGRAMS
from covey_local.demo.book import Row, as_csv, make_bad_rows, make_book
from covey_local.demo.forecast import Forecast, GroupForecast
from covey_local.demo.people import Inbox
from covey_local.demo.platform import SUBSCRIBER, Api, Json, NotInTime, Platform, Program, ms_since, program
from covey_local.demo.stories import Stories
from covey_local.demo.story import Story
from covey_local.demo.watch import WatchedGroup

AVAILABLE = "covey.renewal.available.v1"
REGISTERED = "covey.group.registered.v1"
DELIVERED = "covey.notification.delivered.v1"


@dataclass
class Day:
    """What one day brought, and how long it took from the move of the date, in milliseconds."""

    day: date
    available: int
    event_ms: list[float] = field(default_factory=list)
    email_ms: list[float] = field(default_factory=list)
    remark: str = ""


@dataclass
class Season:
    """One run of the demo."""

    platform: Platform
    api: Api
    stranger: Program
    forecast: Forecast
    console: Console
    today: date
    kills: Counter[str] = field(default_factory=Counter)
    days: list[Day] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    mails: list[Json] = field(default_factory=list)
    changed: dict[str, Row] = field(default_factory=dict)
    """What is otherwise now than in the book that came in, by group number."""
    stories: Stories | None = None
    wrong: list[str] = field(default_factory=list)

    # --- reading what happened ---

    def available_events(self) -> list[Json]:
        return [event for event in self.stranger.look() if event["type"] == AVAILABLE]

    def delivered(self) -> set[str]:
        """The Message-IDs of the emails that notifications says were delivered."""
        return {event["data"]["message_id"] for event in self.stranger.look() if event["type"] == DELIVERED}

    async def look_at_mails(self) -> list[Json]:
        self.mails += await self.api.mails(self.mails[-1]["index"] if self.mails else -1)
        return self.mails

    async def see(self, due: list[GroupForecast], since: float, day: Day, *, patience_s: float) -> None:
        """Wait until the day's events and emails are there, and note when each came."""
        numbers = {self.groups[group.row["group_number"]]: group for group in due}
        to_come = {(key, address) for key, group in numbers.items() for address in group.recipients}
        events: set[str] = set()
        read_events = read_mails = 0
        deadline = time.time() + patience_s
        while len(events) < len(numbers) or to_come:
            if time.time() > deadline:
                self.wrong.append(
                    f"{day.day}: {len(numbers) - len(events)} renewals and {len(to_come)} emails are missing"
                    f" after {patience_s:.0f} s"
                )
                return
            happened = self.available_events()
            for event in happened[read_events:]:
                group_id = event["data"]["group_id"]
                if group_id in numbers and event["data"]["available_on"] == day.day.isoformat():
                    events.add(group_id)
                    day.event_ms.append(ms_since(event["received"], since))
            read_events = len(happened)
            mails = await self.look_at_mails()
            for mail in mails[read_mails:]:
                for key, address in list(to_come):
                    if address in mail["to"] and numbers[key].row["group_number"] in mail["text"]:
                        to_come.discard((key, address))
                        day.email_ms.append(ms_since(mail["received_at"], since))
            read_mails = len(mails)
            await asyncio.sleep(0.02)

    # --- doing ---

    async def import_file(self, content: bytes) -> tuple[Json, str]:
        """Import a file, and wait for its end: the report, and the bad rows as CSV."""
        started = await self.api.send(
            "POST", "membership", "/v1/imports", content=content, headers={"Content-Type": "text/csv"}
        )
        started.raise_for_status()
        path = started.headers["Location"]
        deadline = time.monotonic() + 12 * self.platform.patience_s
        while (report := await self.api.get("membership", path))["status"] != "done":
            if time.monotonic() > deadline:
                raise NotInTime("the import did not end")
            await asyncio.sleep(0.05)
        errors = await self.api.send("GET", "membership", f"{path}/errors.csv")
        return report, errors.text

    async def move_renewal_date(self, number: str, to: date) -> None:
        """What the carrier does when a group's renewal moves."""
        path = f"/v1/groups/{self.groups[number]}"
        while True:
            found = await self.api.send("GET", "membership", path)
            group = found.json()
            body = {
                name: group[name]
                for name in ("legal_name", "market_region", "effective_date", "renewal_date", "broker", "plans")
            }
            changed = await self.api.send(
                "PUT",
                "membership",
                f"{path}/carrier-data",
                json=body | {"renewal_date": to.isoformat()},
                headers={"If-Match": found.headers["ETag"]},
            )
            if changed.status_code != 412:
                changed.raise_for_status()
                self.forecast.groups[number].move(to)
                self.changed[number] = self.changed.get(number, {}) | {"renewal_date": to.isoformat()}
                return

    async def renewal_has_moved(self, number: str, to: date) -> None:
        """Wait until renewals has heard of it."""
        deadline = time.monotonic() + self.platform.patience_s
        while True:
            answer = await self.api.send("GET", "renewals", f"/v1/groups/{self.groups[number]}/renewals")
            if to.isoformat() in answer.text:
                return
            if time.monotonic() > deadline:
                raise NotInTime(f"the renewal of {number} did not move to {to}")
            await asyncio.sleep(0.02)


async def run_season(
    platform: Platform, *, folder: Path, groups: int, days: int, seed: int, kill: int | None, console: Console
) -> bool:
    """Run the demo on a stack; True when everything happened, in time, once."""
    api = Api(platform)
    topics = [event.topic.name for event in EVENTS]
    try:
        async with program(SUBSCRIBER, platform.kafka[DOWNSTREAM], topics, folder) as reader:
            today, ahead = await api.today()
            rows = make_book(groups, days=days, today=today, seed=seed)
            season = Season(platform, api, reader, Forecast(rows, today), console, today)
            killer = asyncio.create_task(_kill(season, random.Random(kill))) if kill is not None else None  # noqa: S311
            try:
                await _first_day(season, rows)
                await _stories_begin(season, folder, last_day=today + timedelta(days=days))
                await _days(season, days, seed, ahead)
                await _stories_go_on(season)
            finally:
                if killer:
                    killer.cancel()
                    with suppress(asyncio.CancelledError):
                        await killer
            await _verdict(season, rows)
            return _report(season)
    except NotInTime as error:
        console.print(f"[red]not in time:[/] {error}")
        return False
    finally:
        await api.close()


async def _first_day(season: Season, rows: list[Row]) -> None:
    began = time.time()
    report, errors = await season.import_file(as_csv(rows))
    seconds = time.time() - began
    season.console.print(
        f"{season.today}  imported {report['registered']} groups in {seconds:.1f} s ({report['refused']} rows refused)"
    )
    if report["registered"] != len(rows) or report["refused"]:
        season.wrong.append(f"the import registered {report['registered']} of {len(rows)} groups: {errors[:500]}")
    deadline = time.monotonic() + season.platform.patience_s
    while len(season.groups) < len(rows):
        if time.monotonic() > deadline:
            raise NotInTime(f"{len(rows) - len(season.groups)} groups were never registered on Kafka")
        season.groups = {
            event["data"]["group_number"]: event["subject"]
            for event in season.stranger.look()
            if event["type"] == REGISTERED
        }
        await asyncio.sleep(0.05)
    bad = make_bad_rows(rows[0])
    report, errors = await season.import_file(as_csv([row for row, _ in bad]))
    reported = {(line.split(",")[0], line.split(",")[1]) for line in errors.splitlines()[1:]}
    expected = {(str(line), column) for line, (_, column) in enumerate(bad, start=2)}
    season.console.print(f"{season.today}  {len(bad)} bad rows refused, each by its line and column")
    if report["refused"] != len(bad) or not expected <= reported:
        season.wrong.append(f"bad rows: expected {sorted(expected - reported)} in the report")
    due = season.forecast.becoming_available(season.today)
    day = Day(season.today, len(due), remark="the book came in")
    season.days.append(day)
    # All at once: every service works through the whole book on this machine's few cores.
    at_once_s = season.platform.patience_s * (1 + len(rows) / 500)
    await season.see(due, began, day, patience_s=at_once_s)
    _print(season, day)


async def _stories_begin(season: Season, folder: Path, *, last_day: date) -> None:
    """Of the group with a broker whose renewal is the last to become available."""
    served = [each for each in season.forecast.groups.values() if each.row["firm_number"] and each.due <= last_day]
    if not served:
        season.wrong.append("no group with a broker becomes available in these days: the main job can't be told")
        return
    row = max(served, key=lambda each: each.due).row
    story = Story(
        api=season.api,
        stranger=season.stranger,
        inbox=Inbox(season.api),
        console=season.console,
        today=season.today,
        row=row,
        group=WatchedGroup(season.groups[row["group_number"]], row["group_number"], row["firm_number"]),
    )
    season.stories = Stories(story=story, kafka=season.platform.kafka[PROGRAMS], folder=folder)
    await season.stories.begin()


async def _stories_go_on(season: Season) -> None:
    """Once all days have passed."""
    if season.stories:
        await season.stories.go_on(season.today)
        number = season.stories.story.group.number
        season.changed[number] = season.changed.get(number, {}) | season.stories.story.changed


async def _days(season: Season, days: int, seed: int, ahead: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - the same season for the same seed
    for number in range(1, days + 1):
        remark = await _carrier_moves_a_date(season, number, days, dice)
        season.today += timedelta(days=1)
        moved = time.time()
        await season.api.move_date(ahead + number)
        due = season.forecast.becoming_available(season.today)
        day = Day(season.today, len(due), remark=remark)
        season.days.append(day)
        await season.see(due, moved, day, patience_s=season.platform.patience_s)
        if due or remark:
            _print(season, day)


async def _carrier_moves_a_date(season: Season, number: int, days: int, dice: random.Random) -> str:
    """Now and then a renewal date moves: later before it was available, to today, or away and back after it was."""
    told_of = season.stories.story.group.number if season.stories else ""
    groups = [(name, group) for name, group in season.forecast.groups.items() if name != told_of]
    upcoming = [(name, group) for name, group in groups if group.available_on is None and group.due > season.today]
    if number == days // 4 and upcoming:
        name, group = dice.choice(upcoming)
        to = group.effective + timedelta(days=9)
        await season.move_renewal_date(name, to)
        await season.renewal_has_moved(name, to)
        return f"{name} moved to {to}, before it was available"
    if number == days // 2 and upcoming:
        name, group = dice.choice(upcoming)
        to = season.today + timedelta(days=76)
        await season.move_renewal_date(name, to)
        await season.renewal_has_moved(name, to)
        return f"{name} moved to {to}: due tomorrow"
    available = [(name, group) for name, group in groups if group.available_on and group.effective > season.today]
    if number == 3 * days // 4 and available:
        name, group = dice.choice(available)
        back = group.effective
        for to in (season.today + timedelta(days=200), back):
            await season.move_renewal_date(name, to)
            await season.renewal_has_moved(name, to)
        return f"{name} moved away and back after it was available: nobody is told twice"
    return ""


async def _kill(season: Season, dice: random.Random) -> None:
    """Kill -9 one or two services or relays at moments that the seed decides, and again once they are back."""
    while True:
        await asyncio.sleep(dice.uniform(0.5, 6.0))
        processes = season.platform.pids()
        names = sorted(name for name in processes if name.removesuffix("-relay") in season.platform.services)
        for name in dice.sample(names, k=dice.choice((1, 1, 2))):
            with suppress(ProcessLookupError):
                os.kill(processes[name], signal.SIGKILL)
                season.kills[name] += 1
        while not await season.api.all_ready():
            await asyncio.sleep(0.2)


async def _verdict(season: Season, rows: list[Row]) -> None:
    """Nothing missing, nothing doubled, nothing left behind; and the same file again changes nothing."""
    now = [row | season.changed.get(row["group_number"], {}) for row in rows]
    report, _ = await season.import_file(as_csv(now))
    if report["unchanged"] != len(rows):
        season.wrong.append(f"importing the book again was not quiet: {report}")
    deadline = time.monotonic() + season.platform.patience_s
    while (left := await season.api.dead_letters()) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    if left:
        season.wrong.append(f"{len(left)} dead letters or parked keys: {left[0]}")
    counts = Counter((event["data"]["group_id"], event["data"]["plan_year"]) for event in season.available_events())
    season.wrong += [f"renewal {key} became available {times} times" for key, times in counts.items() if times > 1]
    expected = {
        (season.groups[number], group.available_on.isoformat())
        for number, group in season.forecast.groups.items()
        if group.available_on
    }
    seen = {(event["data"]["group_id"], event["data"]["available_on"]) for event in season.available_events()}
    season.wrong += [f"renewal of {group} did not become available on {on}" for group, on in sorted(expected - seen)]
    season.wrong += [
        f"renewal of {group} became available on {on} out of turn" for group, on in sorted(seen - expected)
    ]
    await _check_mails(season)
    if season.stories:
        season.wrong += await season.stories.end()
    code = await season.stranger.end()
    summary = season.stranger.summary or {"violations": ["the stranger said nothing"], "events": 0, "duplicates": 0}
    season.wrong += [f"stranger: {violation}" for violation in summary["violations"]]
    if code and not summary["violations"]:
        season.wrong.append(f"the stranger's program ended with {code}")


async def _check_mails(season: Season) -> None:
    mails = await season.look_at_mails()
    copies = Counter(mail["message_id"] for mail in mails)
    wanted = sum(len(group.recipients) for group in season.forecast.groups.values() if group.available_on)
    wanted += season.stories.story.emails if season.stories else 0
    if len(copies) != wanted:
        season.wrong.append(f"{len(copies)} different emails arrived, {wanted} were due")
    deadline = time.monotonic() + season.platform.patience_s
    while season.delivered() != set(copies) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    if season.delivered() != set(copies):
        season.wrong.append(f"{len(season.delivered())} of {len(copies)} emails were reported as delivered on Kafka")
    doubled = sum(times - 1 for times in copies.values())
    if doubled and not season.kills:
        season.wrong.append(f"{doubled} emails arrived twice")


def _print(season: Season, day: Day) -> None:
    late = (
        f"event p50 {statistics.median(day.event_ms):4.0f} ms, email p50 {statistics.median(day.email_ms):4.0f} ms, "
        f"last {max(day.event_ms + day.email_ms):4.0f} ms"
        if day.event_ms and day.email_ms
        else ""
    )
    season.console.print(
        f"{day.day}  {day.available:3d} available, {len(day.email_ms):3d} emails  {late}"
        + (f"  [dim]{day.remark}[/]" if day.remark else ""),
        highlight=False,
    )


def _spread(times: list[float]) -> str:
    if len(times) == 1:
        return f"{times[0]:.0f} ms"
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered):.0f} ms, p99 {p99:.0f} ms, max {ordered[-1]:.0f} ms"


def _report(season: Season) -> bool:
    later = season.days[1:]
    event_ms = [ms for day in later for ms in day.event_ms]
    email_ms = [ms for day in later for ms in day.email_ms]
    summary = season.stranger.summary or {}
    table = Table(title="The season", show_header=False)
    table.add_row("groups", str(len(season.groups)))
    table.add_row("days", str(len(season.days)))
    table.add_row("renewals available", str(len(season.available_events())))
    table.add_row("emails", str(len({mail["message_id"] for mail in season.mails})))
    table.add_row("events read by the stranger", str(summary.get("events")))
    table.add_row("copies on the wire", str(summary.get("duplicates")))
    table.add_row("copies of emails", str(len(season.mails) - len({mail["message_id"] for mail in season.mails})))
    for title, times in (("date moved to event", event_ms), ("date moved to email", email_ms)):
        if times:
            table.add_row(title, _spread(times))
    if season.stories:
        for title, times in season.stories.story.times.items():
            table.add_row(title, _spread(times))
    if season.stories and season.stories.access:
        table.add_row("while they had access", f"{season.stories.access.answers} requests answered")
        table.add_row("once removed", f"{season.stories.access.refusals} requests refused")
    if season.kills:
        table.add_row("killed", ", ".join(f"{name} {times}x" for name, times in sorted(season.kills.items())))
    season.console.print(table)
    for wrong in season.wrong[:20]:
        season.console.print(f"[red]wrong:[/] {wrong}", highlight=False)
    if not season.wrong:
        season.console.print("[green]Every renewal became available on its day, once; everyone was told, once.[/]")
        season.console.print(
            "[green]What a broker submitted was returned, corrected, approved, and is so; everyone was told, once.[/]"
        )
        season.console.print("[green]Nobody who was removed was answered anything more, by any service.[/]")
    return not season.wrong
