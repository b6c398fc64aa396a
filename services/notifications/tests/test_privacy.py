from sqlalchemy import text

SECRETS = ("ann@bakery.example", "Ann Signer", "bob@brokers.example", "Bob Broker")


async def everything_stored(covey):
    """Every row of every table, as it is, with the bytes of binary columns."""
    stored = {}
    async with covey.transaction() as session:
        tables = await session.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        for table in tables.all():
            rows = await session.execute(text(f'SELECT * FROM "{table}"'))
            stored[table] = repr([tuple(row) for row in rows])
    return stored


async def test_names_and_addresses_are_in_no_table_and_no_log_line(covey, story, mail, bob, logged):
    first, second, late = story.group(broker=bob), story.group(broker=bob), story.group(broker=bob)
    for group in (first, second):
        await covey.deliver(group)
        await covey.deliver(story.renewal(group))
    await covey.deliver(story.renewal(late))
    mail.refuse[bob.email] = f"450 4.2.1 <{bob.email}>: {bob.name} is busy"
    await covey.work("mailer-1")
    mail.refuse[bob.email] = f"550 5.1.1 <{bob.email}>: no {bob.name} here"
    await story.pauses_pass()
    await covey.work("mailer-1")
    await mail.stop()
    for failed in await story.notifications(status="failed"):
        response = await covey.api.post(f"/v1/notifications/{failed['id']}/resend", headers={"Idempotency-Key": "1"})
        assert response.status_code == 202
    await covey.work("mailer-1")
    assert len(mail.inbox) == 2

    stored = await everything_stored(covey)
    said = logged()

    for secret in SECRETS:
        assert [table for table, rows in stored.items() if secret in rows] == []
        assert secret not in said
    assert first.sealed in stored["group_copy"]
    assert "mail.put_off" in said
    assert "mail.failed" in said


async def test_names_and_addresses_are_in_no_event_and_no_answer(covey, story, mail, ann, bob):
    group = story.group(broker=bob)
    await covey.deliver(group)
    await covey.deliver(story.renewal(group))
    mail.refuse[bob.email] = f"550 <{bob.email}> unknown"

    await covey.work("mailer-1")

    told = repr([each.event for each in await covey.published()]) + repr(await story.notifications())
    for secret in SECRETS:
        assert secret not in told
