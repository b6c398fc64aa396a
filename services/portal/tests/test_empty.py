"""Lists with nothing in them say why, and what to do; what cannot be had right now is never said to be empty (point 12)."""

import pytest

from .people import NOWHERE, address


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("path", "why", "leads_to"),
    [
        ("/", "no access to a group yet", None),
        ("/groups", "no access to a group", "/access-code"),
        ("/book", "no group yet", "/access-code"),
        ("/transactions", "One begins when", None),
        ("/renewals", "No renewal is available", "/book"),
    ],
)
async def test_whoever_has_nothing_yet_reads_why_and_what_to_do(visit, path, why, leads_to):
    visitor = await visit()
    await visitor.register_and_sign_on(address("new"), "Noe", "Vice")

    await visitor.go(path)

    assert why in await visitor.page.inner_text("main")
    if leads_to:
        await visitor.press(f"main .empty a[href='{leads_to}']")
        assert visitor.path == leads_to
    else:
        assert await visitor.page.locator("main .empty, main form[action='/access-code']").count() == 1


@pytest.mark.timeout(200)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_what_is_filtered_away_comes_back_by_clear_filters(platform, visit, scripts):
    group = await platform.group()
    primary, staff = await visit(scripts=scripts), await visit(scripts=scripts)
    await primary.become_primary(group, address("prim"))
    await staff.sign_on_as_staff()
    nobody = await (await visit()).register(address("idle"), "Ida", "Stone")
    for visitor, path in (
        (primary, "/book?q=nobody-is-called-so"),
        (primary, "/transactions?created_from=2020-01-01&created_to=2020-01-02"),
        (primary, f"/groups/{group['group_id']}/seen-by?on=2020-01-01"),
        (staff, "/staff/firms?firm_number=nobody-has-this"),
        (staff, f"/staff/audit?user_id={nobody}&group={group['group_id']}"),
    ):
        await visitor.go(path)
        assert await visitor.page.locator("main .empty").count() == 1, path
        assert await visitor.page.locator("main table").count() == 0, path

        await visitor.press("main a:has-text('Clear filters')")

        everything = path.partition("?")[0].replace("/transactions", "/transactions?sort=-created")
        assert visitor.page.url == visitor.platform.portal + everything

    await primary.page.goto(f"/groups/{group['group_id']}/seen-by?on=2999-01-01")
    assert "Enter a day from 2000 on that has come" in await primary.page.inner_text("#problem")
    assert await primary.page.locator("main .empty").count() == 0


@pytest.mark.timeout(200)
async def test_what_cannot_be_shown_right_now_is_not_said_to_be_empty(another_portal, platform, visit):
    group = await platform.group()
    primary = await visit()
    await primary.become_primary(group, address("prim"))
    cookies = await primary.page.context.cookies()

    async def seen_without(service: str, path: str) -> str:
        async with another_portal(**{f"{service}_url": NOWHERE}) as broken:
            visitor = await visit(at=broken)
            await visitor.page.context.add_cookies(cookies)
            answer = await visitor.page.goto(path)
            assert answer
            assert await visitor.page.locator("main .empty").count() == 0, (service, path)
            assert await visitor.page.locator("main [data-away]").count() == (path == "/"), (service, path)
            said = f"{answer.status} {await visitor.page.inner_text('main')}"
            await visitor.leave()
            return said

    home = await seen_without("renewals", "/")
    assert home.startswith("200")
    assert "No renewal is available" not in home
    assert group["legal_name"] in home, "what can be had is there"
    assert "There is none yet" not in await seen_without("transactions", "/")
    for service, path in (("renewals", "/book"), ("renewals", "/renewals"), ("transactions", "/transactions")):
        assert (await seen_without(service, path)).startswith("503")
