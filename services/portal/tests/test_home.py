"""The home page shows what one works with, by who one is, and is one click from everywhere (R-19)."""

import pytest

from .people import PASSWORD, address, eventually, firm_number

WAYS = [
    pytest.param("en-US", True, id="english"),
    pytest.param("es-US", False, id="spanish-without-scripts"),
]


async def parts(visitor) -> list[str | None]:
    """The sections of the home page, by the ID of their heading."""
    await visitor.press("header nav a[href='/']")
    return [await each.get_attribute("aria-labelledby") for each in await visitor.page.locator("main section").all()]


async def until_renewals(visitor) -> None:
    """The renewals service hears of a group in its own time."""

    async def listed() -> bool | None:
        await visitor.go("/")
        return await visitor.page.locator("main a[href^='/renewals/']").count() > 0 or None

    await eventually(listed, "a renewal on the home page")


async def links(visitor) -> list[str | None]:
    navigation = visitor.page.locator("header nav").first
    return sorted([await each.get_attribute("href") for each in await navigation.locator("a").all()])


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "scripts"), WAYS)
async def test_a_broker_signs_on_and_has_the_firms_renewals_and_groups_at_hand(platform, visit, language, scripts):
    number = firm_number()
    group = await platform.group(broker=number)
    broker = await visit(language=language, scripts=scripts)
    user_id = await broker.register(address("broker"), "Bro", "Ker")
    await platform.join(number, user_id)

    await broker.sign_on(user_id, PASSWORD)

    assert "Bro" in await broker.title()
    assert await parts(broker) == ["groups-title", "renewals-title", "recent-title", "news-title"]
    assert await links(broker) == ["/", "/groups", "/renewals", "/transactions"]
    await until_renewals(broker)
    await broker.press("main a[href^='/renewals/']")
    assert group["legal_name"] in await broker.page.inner_text("main table")
    for path in ("/book", "/transactions", f"/groups/{group['group_id']}", "/account/sessions"):
        await broker.go(path)
        await broker.press("header nav a[href='/']")
        assert broker.path == "/"


@pytest.mark.timeout(300)
async def test_an_employer_has_their_group_and_its_renewal_and_staff_have_what_waits(platform, visit):
    group = await platform.group()
    employer, staff = await visit(), await visit()
    await employer.become_primary(group, address("prim"))

    assert await parts(employer) == ["groups-title", "renewals-title", "recent-title", "news-title"]
    assert await links(employer) == ["/", "/groups", "/renewals", "/transactions"]
    assert group["legal_name"] in await employer.page.inner_text("section[aria-labelledby=groups-title]")
    await until_renewals(employer)
    await employer.press("main a[href^='/renewals/']")
    assert group["legal_name"] in await employer.page.inner_text("main table")

    await staff.sign_on_as_staff()
    await employer.ask_for_access(group, address("next"))
    assert await parts(staff) == ["requests-title", "reviews-title", "renewals-title", "recent-title", "news-title"]
    assert await links(staff) == [
        "/",
        "/renewals",
        "/staff/access-requests",
        "/staff/accounts",
        "/staff/audit",
        "/staff/firms",
        "/staff/reviews",
        "/transactions",
    ]
