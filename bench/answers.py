"""``answers``: whether the time of an answer tells a stranger who is known (R-03, R-04).

Identity's routes that anybody may ask are asked about people who have an account and about such as have none, in turn.
What the answers say is compared, too: a time means nothing where the words tell.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import mkdtemp

import httpx
from covey_chassis.ids import new_id

from bench.figure import Figure
from bench.stand import LOCAL, Stand
from tests.resilience.platform import Platform, running_platform

PEOPLE = 50
TIMES = 4
"""How often each is asked about: one more, and there would be pauses (``covey_identity.attempts``)."""

Ask = Callable[[str], Awaitable[httpx.Response]]
Told = tuple[int, bytes, tuple[tuple[str, str], ...]]


async def measure(stand: Stand) -> list[Figure]:
    folder = Path(mkdtemp(prefix="bench-answers-", dir=LOCAL))
    async with running_platform(folder, groups=1, durable=True) as platform:
        people = [await platform.person() for _ in range(stand.size(PEOPLE))]
        user_ids = [
            (await platform.send("GET", "identity", "/v1/account", by=each)).json()["user_id"] for each in people
        ]
        addresses = [each.email for each in people]
        nobodies = [f"nobody{number}@people.example" for number in range(len(people))]
        register = _registration(platform)
        for address in nobodies:
            await register(address)  # as those who are known have done once
        return [
            await _compared("sign-on", _sign_on(platform), user_ids, _free(user_ids), status=401),
            await _compared("registration", register, addresses, nobodies, status=202),
            *[
                await _compared(f"forgotten {what}", _forgotten(platform, what), addresses, nobodies, status=202)
                for what in ("user-id", "password")
            ],
        ]


async def _compared(what: str, ask: Ask, known: list[str], unknown: list[str], *, status: int) -> Figure:
    """The slower of the two medians beside the quicker one."""
    took_s: dict[str, list[float]] = {"known": [], "unknown": []}
    told: set[Told] = set()
    for turn in range(TIMES):
        for number, pair in enumerate(zip(known, unknown, strict=True)):
            both = list(zip(took_s, pair, strict=True))
            for kind, name in both if (turn + number) % 2 else reversed(both):
                began = time.perf_counter()
                answer = await ask(name)
                took_s[kind].append(time.perf_counter() - began)
                told.add(_told(answer))
    assert len(told) == 1, f"{what}: the answers differ: {told}"
    assert next(iter(told))[0] == status, told
    known_s, unknown_s = median(took_s["known"]), median(took_s["unknown"])
    return Figure(
        what=f"{what}: people who are known and such as are not, the slower beside the quicker",
        unit="ms",
        ours=max(known_s, unknown_s) * 1000,
        peer=min(known_s, unknown_s) * 1000,
        at_most=1.1,
        note=f"Known {known_s * 1000:.1f} ms, unknown {unknown_s * 1000:.1f} ms; {len(took_s['known'])} tries each; "
        f"the answers are equal ({next(iter(told))[0]}).",
    )


def _told(answer: httpx.Response) -> Told:
    """What an answer says, but for what is every answer's own."""
    own = {"date", "x-correlation-id"}
    headers = tuple(sorted((name, value) for name, value in answer.headers.items() if name not in own))
    correlation_id = answer.headers["x-correlation-id"]
    return answer.status_code, answer.content.replace(correlation_id.encode(), b"..."), headers


def _free(taken: list[str]) -> list[str]:
    """As many user IDs that nobody has."""
    every = (f"z{number:05}" for number in range(99_999, 0, -1))
    return [user_id for user_id, _ in zip((each for each in every if each not in taken), taken, strict=False)]


def _sign_on(platform: Platform) -> Ask:
    async def ask(user_id: str) -> httpx.Response:
        return await _post(platform, "/v1/sessions", {"user_id": user_id, "password": "not the password of anybody"})

    return ask


def _registration(platform: Platform) -> Ask:
    form: dict[str, object] = {
        "market_region": "California",
        "first_name": "Pim",
        "last_name": "Brandt",
        "company": "A company",
    }
    form |= {"terms_version": "2026-01", "terms_accepted": True}

    async def ask(email: str) -> httpx.Response:
        return await _post(platform, "/v1/registrations", form | {"email": email})

    return ask


def _forgotten(platform: Platform, what: str) -> Ask:
    async def ask(email: str) -> httpx.Response:
        return await _post(platform, f"/v1/forgotten/{what}", {"email": email})

    return ask


async def _post(platform: Platform, path: str, body: Mapping[str, object]) -> httpx.Response:
    url = platform.url("identity") + path
    return await platform.http.post(url, json=body, headers={"Idempotency-Key": str(new_id())})
