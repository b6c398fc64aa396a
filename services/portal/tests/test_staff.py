"""What staff do and look up on pages alone: the people of a firm (R-11), and the audit (R-12)."""

import pyotp
import pytest

from .people import NOWHERE, PASSWORD, address, eventually, firm_number

WAYS = [
    pytest.param("en-US", True, "English", id="english"),
    pytest.param("es-US", False, "Español", id="spanish-without-scripts"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "scripts", "named"), WAYS)
async def test_somebody_is_put_into_a_firm_sees_its_groups_and_is_taken_out_again(
    platform, visit, language, scripts, named
):
    number = firm_number()
    group = await platform.group(broker=number)
    broker = await visit()
    user_id = await broker.register_and_sign_on(address("brook"), "Brook", "Er")
    staff = await visit(language=language, scripts=scripts)
    await staff.sign_on_as_staff()

    await staff.go("/staff/firms")
    await staff.fill(firm_number=number)
    await staff.press("main form.filters button")
    await staff.press("main tbody a")
    firm = staff.path
    for wrong in ("", "z99999"):
        await staff.fill(user_id=wrong)
        await staff.press("main form[action$='/check'] button")
        assert await staff.page.locator("#user_id-complaint").count() == 1
        assert await staff.page.input_value("#user_id") == wrong
    await staff.fill(user_id=f" {user_id.upper()} ")
    await staff.press("main form[action$='/check'] button")
    assert "Brook Er" in await staff.title()
    await staff.press("main dd a[href*='user_id=']")
    assert await staff.page.input_value("#user_id") == user_id, "to be changed"
    await staff.press("main form[action$='/check'] button")
    assert "Brook Er" in await staff.title()
    await staff.page.check("[name=rights][value='quotes.change']")
    await staff.press("main form[action$='/members'] button")
    assert staff.path == firm
    assert user_id in await staff.page.inner_text("main table")

    async def sees() -> bool | None:
        await broker.go("/book")
        return group["legal_name"] in await broker.page.inner_text("main") or None

    await eventually(sees, "the firm's group in the book")
    await staff.go(firm)
    await staff.confirm("main a[href$='/removal']", "/removal")
    assert staff.path == firm
    assert await staff.page.locator("main .said.good").count() == 1
    assert await staff.page.locator("main table").count() == 0

    async def sees_nothing() -> bool | None:
        await broker.go("/book")
        return group["legal_name"] not in await broker.page.inner_text("main") or None

    await eventually(sees_nothing, "a book without the group")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_an_account_is_found_locked_and_unlocked(visit, scripts):
    person = await visit()
    user_id = await person.register_and_sign_on(address("lock"), "Lou", "Cked")
    staff = await visit(scripts=scripts)
    await staff.sign_on_as_staff()
    page = staff.page
    own = await staff.user_id()

    await staff.go("/staff/accounts")
    for wrong in ("z99999", "a b"):
        await staff.fill(user_id=wrong)
        await staff.press("main form.filters button")
        assert await page.locator("main .empty").count() == 1
    await staff.fill(user_id=f" {user_id.upper()} ")
    await staff.press("main form.filters button")
    assert "Lou Cked" in await page.title()
    assert "Lou Cked" in await page.inner_text("main h2")

    await staff.confirm("main a[href$='/lock']", "/lock")
    assert "Locked" in await page.inner_text("main .facts")
    assert await page.locator("main .said.good").count() == 1
    await person.go("/account")
    assert person.path == "/sign-on"
    await person.sign_on(user_id, PASSWORD)
    assert "locked" in await person.page.inner_text("#problem")

    await staff.confirm("main a[href$='/unlock']", "/unlock")
    assert "Locked" not in await page.inner_text("main .facts")
    await person.sign_on(user_id, PASSWORD)
    assert person.path == "/account", "where they were"

    await staff.confirm("main a[href$='/second-factor']", "/second-factor")
    assert "neither a second factor" in await page.inner_text("#problem")
    await staff.go(f"/staff/accounts?user_id={own}")
    assert await page.locator("main a[href$='/lock'], main a[href$='/second-factor']").count() == 0, "one's own"


@pytest.mark.timeout(200)
async def test_a_second_factor_that_was_lost_is_taken_by_staff(platform, visit):
    person, staff, email = await visit(), await visit(), address("lost")
    user_id = await person.register_and_sign_on(email, "Los", "Ter")
    await person.go("/account/second-factor")
    await person.fill(password=PASSWORD)
    await person.press()
    await person.fill(code=pyotp.TOTP(await person.page.inner_text("main .secret")).now())
    await person.press("main form[action$='/on'] button")
    await person.press("form[action='/sign-off'] button")
    await staff.sign_on_as_staff()
    await staff.go(f"/staff/accounts?user_id={user_id}")

    await staff.confirm("main a[href$='/second-factor']", "/second-factor")

    assert await staff.page.locator("main .said.good").count() == 1
    await person.sign_on(user_id, PASSWORD)
    assert "Los" in await person.title(), "by the password alone"
    await platform.mail(email, "second factor")


@pytest.mark.timeout(200)
async def test_a_firms_member_is_added_once(platform, visit):
    number = firm_number()
    await platform.group(broker=number)
    person = await visit()
    user_id = await person.register_and_sign_on(address("twice"), "Twi", "Ce")
    staff = await visit()
    await staff.sign_on_as_staff()
    for _ in range(2):
        await staff.go(f"/staff/firms?firm_number={number}")
        await staff.press("main tbody a")
        await staff.fill(user_id=user_id)
        await staff.press("main form[action$='/check'] button")
        await staff.press("main form[action$='/members'] button")

    assert "already" in await staff.page.inner_text("#problem")
    assert await staff.page.locator("main tbody tr").count() == 1


@pytest.mark.timeout(200)
async def test_staff_read_who_did_what_and_from_where(platform, visit):
    group = await platform.group()
    person = await visit()
    user_id = await person.register_and_sign_on(address("watched"), "Wat", "Ched")
    await person.go(f"/groups/{group['group_id']}")  # it is not theirs
    staff = await visit()
    await staff.sign_on_as_staff()

    async def told() -> str | None:
        await staff.go(f"/staff/audit?user_id={user_id}")
        found = await staff.page.inner_text("main table")
        return found if "membership.read_group" in found else None

    found = await eventually(told, "the refused look in the audit")
    assert {"sign-on", "account.registered", "127.0.0.1", "not-yours"} <= set(found.split())
    assert await staff.page.locator("main tbody td:nth-child(3) a").all_inner_texts() != []

    await staff.go(f"/staff/audit?group={group['group_id']}")
    rows = await staff.page.locator("main tbody tr").all_inner_texts()
    assert any("membership.read_group" in row and user_id in row for row in rows)
    await staff.fill(user_id="nobody")
    await staff.press("main form.filters button")
    assert await staff.page.locator("#user_id-complaint").count() == 1


@pytest.mark.timeout(200)
async def test_the_audit_is_turned_page_by_page(visit):
    staff = await visit()
    await staff.sign_on_as_staff()
    for _ in range(26):
        await staff.go("/staff/audit")

    first = await staff.page.locator("main tbody tr").all_inner_texts()
    await staff.press("main nav a[rel=next]")
    second = await staff.page.locator("main tbody tr").all_inner_texts()

    assert len(first) == 25
    assert second
    assert (await staff.page.title()).startswith("Audit, page 2")


@pytest.mark.timeout(300)
async def test_an_invitation_of_the_next_primary_is_taken_back_and_the_present_one_stays(platform, visit):
    group = await platform.group()
    primary, staff = await visit(), await visit()
    await primary.become_primary(group, address("prim"))
    invited = address("next")
    await platform.approve_primary(group, invited)
    await staff.sign_on_as_staff()
    await staff.go(f"/groups/{group['group_id']}")
    row = staff.page.locator(f"main tbody tr:has-text('{invited}')")

    await staff.go(await row.locator("a[href$='/removal']").get_attribute("href"))
    said = await staff.page.inner_text("main")
    assert "Whoever is the primary administrator now stays." in said
    assert "without a primary administrator" not in said
    await staff.press()
    await staff.go(f"/groups/{group['group_id']}")

    assert await row.count() == 0
    assert await staff.page.locator("main tbody tr:has-text('Primary administrator'):has-text('Active')").count() == 1
    await primary.go(f"/groups/{group['group_id']}/users/new")
    assert group["legal_name"] in await primary.title()


@pytest.mark.timeout(300)
async def test_staff_see_which_group_it_is_and_the_rest_where_that_cannot_be_had(platform, another_portal, visit):
    group, staff = await platform.group(), await visit()
    await staff.sign_on_as_staff()
    pages = [f"/groups/{group['group_id']}/{each}" for each in ("history", "seen-by", "broker")]
    for path in pages:
        await staff.go(path)
        assert group["legal_name"] in await staff.title(), path
        assert group["legal_name"] in await staff.page.title(), path

    cookies = await staff.page.context.cookies()
    async with another_portal(membership_url=NOWHERE) as broken:
        visitor = await visit(at=broken)
        await visitor.page.context.add_cookies(cookies)
        for path in pages:
            answer = await visitor.page.goto(path)
            assert answer.status == 200, path
            assert await visitor.title() in ("What was done", "Who can see this group", "Broker of record")
        await visitor.leave()
