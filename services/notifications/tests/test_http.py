from uuid import uuid4

from covey_contracts.notifications import NotificationDelivered, NotificationFailed


async def failed_notification(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")
    mail.refuse["ann@bakery.example"] = "550 5.1.1 unknown"
    await covey.work("mailer-1")
    mail.refuse.clear()
    (failed,) = await story.notifications(status="failed")
    return failed


async def test_a_failed_message_is_sent_again_with_the_same_message_id(covey, story, mail):
    failed = await failed_notification(covey, story, mail)

    response = await covey.api.post(f"/v1/notifications/{failed['id']}/resend", headers={"Idempotency-Key": "1"})
    await covey.work("mailer-1")

    assert response.status_code == 202
    assert (response.json()["status"], response.json()["attempts"]) == ("waiting", 0)
    assert mail.message_ids == [failed["message_id"]]
    assert [type(each.event) for each in await covey.published()] == [NotificationFailed, NotificationDelivered]
    assert [each.sequence for each in await covey.published()] == [1, 2]


async def test_asking_twice_with_one_key_sends_once(covey, story, mail):
    failed = await failed_notification(covey, story, mail)
    ask = {"url": f"/v1/notifications/{failed['id']}/resend", "headers": {"Idempotency-Key": "1"}}

    first = await covey.api.post(**ask)
    await covey.work("mailer-1")
    second = await covey.api.post(**ask)
    await covey.work("mailer-1")

    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert len(mail.inbox) == 1


async def test_only_what_failed_is_sent_again(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")
    (waiting,) = await story.notifications()

    before = await covey.api.post(f"/v1/notifications/{waiting['id']}/resend", headers={"Idempotency-Key": "1"})
    await covey.work("mailer-1")
    after = await covey.api.post(f"/v1/notifications/{waiting['id']}/resend", headers={"Idempotency-Key": "2"})

    assert [before.status_code, after.status_code] == [409, 409]
    assert before.json()["code"] == "illegal-move"
    assert len(mail.inbox) == 1


async def test_sending_again_needs_an_idempotency_key_and_a_notification(covey):
    nothing = uuid4()

    assert (await covey.api.post(f"/v1/notifications/{nothing}/resend")).status_code == 400
    missing = await covey.api.post(f"/v1/notifications/{nothing}/resend", headers={"Idempotency-Key": "1"})
    assert (missing.status_code, missing.json()["code"]) == (404, "notification-not-found")
    assert (await covey.api.get(f"/v1/notifications/{nothing}")).status_code == 404


async def test_one_notification_can_be_read_by_its_reference(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")
    await covey.work("mailer-1")

    (sent,) = mail.inbox
    response = await covey.api.get(f"/v1/notifications/{sent.message['X-Covey-Reference']}")

    assert response.json()["message_id"] == sent.message_id
    assert response.json()["status"] == "delivered"
    assert "ann" not in response.text.lower()


async def test_notifications_are_listed_by_page_status_and_group(covey, story, mail):
    await story.renewals_become_available(*(f"signer-{n}@bakery.example" for n in range(5)))
    mail.refuse["signer-3@bakery.example"] = "550 no"
    await covey.work("mailer-1")

    pages, after = [], None
    while not pages or after:
        query = {"limit": 2} | ({"after": after} if after else {})
        page = (await covey.api.get("/v1/notifications", params=query)).json()
        pages.append([each["id"] for each in page["items"]])
        after = page["next"]

    assert [len(page) for page in pages] == [2, 2, 1]
    ids = [each for page in pages for each in page]
    assert ids == sorted(set(ids), reverse=True)
    assert len(await story.notifications(status="delivered")) == 4
    (failed,) = await story.notifications(status="failed")
    assert await story.notifications(group_id=failed["group_id"]) == [failed]
    assert (await covey.api.get("/v1/notifications", params={"status": "lost"})).status_code == 422


async def test_metrics_count_what_was_sent_what_failed_and_what_waits(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example", "bob@bakery.example", "eve@bakery.example")
    mail.refuse = {"bob@bakery.example": "550 no", "eve@bakery.example": "450 busy"}
    await covey.work("mailer-1")

    await covey.work("measure-mail")
    metrics = (await covey.api.get("/metrics")).text

    assert 'covey_notifications_sent_total{kind="renewal-available"}' in metrics
    assert 'covey_notifications_failed_total{kind="renewal-available",reason="smtp-550"}' in metrics
    assert 'covey_notifications_put_off_total{kind="renewal-available",reason="smtp-450"}' in metrics
    oldest = next(line for line in metrics.splitlines() if line.startswith("covey_notifications_oldest_waiting"))
    assert float(oldest.split()[1]) > 0
