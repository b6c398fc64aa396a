import asyncio

from covey_chassis.testing import Harness
from covey_identity.attempts import (
    MOST,
    PAUSE_MAX_S,
    TooManyAttempts,
    begin_attempt,
    clear_attempts,
    may_write_to,
    subject_of,
)

from .accounts import comparable, run, sign_on, somebody

PURPOSE = "access-code"
SUBJECT = subject_of("somebody")


async def begin(covey: Harness) -> int | None:
    """How long one has to wait; None when the attempt may be made."""
    try:
        await begin_attempt(covey.context, PURPOSE, SUBJECT)
    except TooManyAttempts as refused:
        return int(refused.headers["Retry-After"])
    return None


async def let_pass(covey: Harness) -> None:
    """The pause is over."""
    await run(covey, "UPDATE attempt SET next_at = clock_timestamp()")


async def pause(covey: Harness) -> float:
    ((seconds,),) = await run(covey, "SELECT extract(epoch FROM next_at - last_at)::float FROM attempt")
    return round(float(seconds), 1)


async def test_after_five_failures_the_pauses_grow(covey: Harness) -> None:
    pauses = []
    for _ in range(16):
        assert await begin(covey) is None
        pauses.append(await pause(covey))
        await let_pass(covey)

    assert pauses == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


async def test_after_a_hundred_failures_in_a_row_there_is_none_for_a_day(covey: Harness) -> None:
    for _ in range(MOST - 1):
        assert await begin(covey) is None
        await let_pass(covey)
    assert await begin(covey) is None

    assert await run(covey, "SELECT failures FROM attempt") == [(MOST,)]
    assert (await begin(covey) or 0) > 86_000


async def test_however_often_a_stranger_asks_for_mail_an_address_is_written_to_again_after_five_minutes(
    covey: Harness,
) -> None:
    """Else a stranger who has a day's pause put on an account takes the way out of it, too."""
    await may_write_to(covey.context, "forgotten-password", "ottoline@alderquist.example.org")
    await run(covey, "UPDATE attempt SET failures = :most - 1", most=MOST)

    assert await may_write_to(covey.context, "forgotten-password", "ottoline@alderquist.example.org")

    assert await pause(covey) == PAUSE_MAX_S


async def test_during_a_pause_nothing_is_counted(covey: Harness) -> None:
    for _ in range(5):
        assert await begin(covey) is None
    await run(covey, "UPDATE attempt SET next_at = clock_timestamp() + interval '100 s'")

    waits = [await begin(covey) for _ in range(3)]

    assert all(wait_s in (99, 100) for wait_s in waits)
    assert await run(covey, "SELECT failures FROM attempt") == [(5,)]


async def test_many_at_once_do_not_outrun_the_count(covey: Harness) -> None:
    await run(
        covey,
        "INSERT INTO attempt VALUES (:purpose, :subject, 19, now(), now())",
        purpose=PURPOSE,
        subject=SUBJECT,
    )

    found = await asyncio.gather(*(begin(covey) for _ in range(12)))

    assert found.count(None) == 1
    assert await run(covey, "SELECT failures FROM attempt") == [(20,)]


async def test_a_success_clears_them_if_it_commits(covey: Harness) -> None:
    for _ in range(5):
        await begin(covey)

    async with covey.context.requests.session() as rolled_back:
        await clear_attempts(rolled_back, PURPOSE, SUBJECT)
    assert await run(covey, "SELECT failures FROM attempt") == [(5,)]
    async with covey.transaction() as session:
        await clear_attempts(session, PURPOSE, SUBJECT)

    assert await begin(covey) is None
    assert await run(covey, "SELECT failures FROM attempt") == [(1,)]


async def test_they_are_counted_by_purpose_and_by_whose_secret_it_is(covey: Harness) -> None:
    for _ in range(5):
        await begin(covey)

    assert await begin(covey)
    await begin_attempt(covey.context, "sign-on", SUBJECT)
    await begin_attempt(covey.context, PURPOSE, subject_of("somebody else"))


async def test_old_failures_do_not_count(covey: Harness) -> None:
    for _ in range(8):
        await begin(covey)
        await let_pass(covey)
    await run(covey, "UPDATE attempt SET last_at = now() - interval '24 hours'")

    assert await begin(covey) is None
    assert await run(covey, "SELECT failures FROM attempt") == [(1,)]


# --- signing on ---


async def test_a_refused_sign_on_is_counted_although_its_request_is_rolled_back(covey: Harness) -> None:
    who = await somebody(covey)

    for _ in range(2):
        assert (await sign_on(covey, who.user_id, "another password")).status_code == 401

    assert await run(covey, "SELECT failures FROM attempt WHERE purpose = 'sign-on'") == [(2,)]


async def test_after_five_failures_even_the_right_password_waits_and_nobody_learns_whether_there_is_such_a_user(
    covey: Harness,
) -> None:
    who = await somebody(covey)
    for name in (who.user_id, "z99999"):
        for _ in range(5):
            assert (await sign_on(covey, name, "another password")).status_code == 401
    await run(covey, "UPDATE attempt SET next_at = clock_timestamp() + interval '1 hour'")

    known, unknown = await sign_on(covey, who.user_id), await sign_on(covey, "z99999")

    assert known.status_code == 429
    assert 3590 <= int(known.headers["Retry-After"]) <= 3600
    await run(covey, "UPDATE attempt SET next_at = (SELECT max(next_at) FROM attempt)")
    for retry in range(3):
        known, unknown = await asyncio.gather(sign_on(covey, who.user_id), sign_on(covey, "z99999"))
        if comparable(known) == comparable(unknown):
            break  # else a second has just gone by between the two
        assert retry < 2


async def test_after_the_pause_the_right_password_signs_on_and_clears_the_count(covey: Harness) -> None:
    who = await somebody(covey)
    for _ in range(6):
        await sign_on(covey, who.user_id, "another password")
    await let_pass(covey)

    assert (await sign_on(covey, who.user_id)).status_code == 201
    assert await run(covey, "SELECT 1 FROM attempt WHERE purpose = 'sign-on'") == []


async def test_a_user_id_counts_in_whatever_case_it_is_typed(covey: Harness) -> None:
    for name in ("z99999", "Z99999", " z99999 "):
        await sign_on(covey, name)

    assert await run(covey, "SELECT failures FROM attempt") == [(3,)]
