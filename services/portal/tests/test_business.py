"""Transactions as their owners find them: what is to be done comes first, with who helps (page point 13)."""

from datetime import timedelta

import pytest
from covey_chassis.clock import Clock

from .people import PASSWORD, address, firm_number

WAYS = [
    pytest.param("en-US", True, "Action required", id="english"),
    pytest.param("es-US", False, "Acción requerida", id="spanish-without-scripts"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "scripts", "asked"), WAYS)
async def test_what_was_sent_back_comes_first_with_what_to_do_and_who_helps(platform, visit, language, scripts, asked):
    group = await platform.group()
    primary = await visit(language=language, scripts=scripts)
    await primary.become_primary(group, address("prim"))
    user_id = await primary.user_id()
    said = 'Add the W-9 & sign "it" <b>here</b>.'
    transaction_id = await platform.submitted(group, (user_id, PASSWORD))
    await platform.send_back(transaction_id, said, "W-9")

    await primary.go("/transactions")

    sections = primary.page.locator("main section")
    first = await sections.first.inner_text()
    assert asked in await sections.first.locator("h2").inner_text()
    assert said in first
    assert "Odalys Brenner" in first
    assert group["legal_name"] in first
    assert await sections.first.locator("a[href^='tel:']").count() == 1
    everything = primary.page.locator("main .table").last
    assert await everything.locator("tbody tr").count() == 1
    assert await sections.first.locator(f"a[href='/transactions/{transaction_id}']").count() == 1
    await primary.go(f"/transactions/{transaction_id}")
    main = await primary.page.inner_text("main")
    assert said in main
    assert "$1,250.50" in main
    await primary.go("/transactions?status=completed")
    assert await primary.page.locator("main section").count() == 0
    assert await primary.page.locator("main .empty a[href='/transactions?sort=-created']").count() == 1
    await primary.go("/")
    assert said in await primary.page.inner_text("main")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_a_list_is_sorted_by_its_headings_counted_and_kept_in_its_address(platform, visit, scripts):
    primary = await visit(scripts=scripts)
    groups = [await platform.group() for _ in range(2)]
    email = address("prim")
    await primary.become_primary(groups[0], email)
    user_id = await primary.user_id()
    await platform.approve_primary(groups[1], email)
    await primary.go("/")
    await primary.fill(code=await platform.code(email, groups[1]["legal_name"]))
    await primary.press("main form[action='/access-code'] button")
    for group in groups:
        await platform.submitted(group, (user_id, PASSWORD))
    by_name = sorted(groups, key=lambda group: group["legal_name"])
    page = primary.page

    async def shown() -> list[str]:
        rows = await page.locator("#found tbody tr td:nth-child(2)").all_inner_texts()
        return [each.partition("\n")[0] for each in rows]

    await primary.go("/transactions?status=pending+review")
    assert await page.locator("#found [role=status]").inner_text() == "2 transactions"
    assert (await page.title()).startswith("2 transactions"), "read out with the page"
    assert await shown() == [groups[1]["legal_name"], groups[0]["legal_name"]], "the newest first"
    assert await page.locator("[aria-sort]").inner_text() == "Created"

    for number, days, rows in (
        (groups[0]["group_number"], ("", ""), 1),
        ("", ("2026-01-01", "2099-12-31"), 2),
        ("", ("2026-01-01", "2026-01-02"), 0),
        ("nobody-has-this", ("", ""), 0),
    ):
        await primary.fill(group_number=number, created_from=days[0], created_to=days[1])
        await primary.press("#filters button:has-text('Search')")
        assert await page.locator("#found tbody tr").count() == rows, (number, days)
    await primary.go("/transactions?status=pending+review")

    await primary.press("th button:has-text('Group')")
    assert await page.locator("[aria-sort=ascending]").inner_text() == "Group"
    assert await shown() == [each["legal_name"] for each in by_name]
    assert "status=pending" in page.url, "the filters stay"
    await primary.press("th button:has-text('Group')")
    assert await page.locator("[aria-sort=descending]").inner_text() == "Group"
    assert await shown() == [each["legal_name"] for each in reversed(by_name)]
    address_of_list = page.url

    async with page.expect_navigation():
        await page.locator("#found tbody a").first.press("Enter")
    await page.go_back()
    assert page.url == address_of_list
    assert await page.locator("[aria-sort=descending]").inner_text() == "Group"
    assert await page.input_value("#status") == "pending review"
    await primary.press("#filters button:has-text('Search')")
    assert await page.locator("[aria-sort=descending]").inner_text() == "Group", "searching keeps the order"


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("path", "named"),
    [
        (f"/transactions?created_from=never&created_to=2026-02-30&group_number={'x' * 101}&q={'x' * 101}", 4),
        (f"/book?q={'x' * 101}", 1),
    ],
)
async def test_a_filter_that_cannot_be_is_named_and_nothing_is_said_to_be_empty(visit, path, named):
    visitor = await visit()
    await visitor.register_and_sign_on(address("new"), "Noe", "Vice")
    page = visitor.page

    answer = await page.goto(path)

    assert answer
    assert answer.status == 422
    assert await page.locator("main .empty").count() == 0
    links = await page.locator("#problem a").all()
    assert len(links) == named
    for link in links:
        place = (await link.get_attribute("href")).removeprefix("#")
        assert await link.inner_text() in await page.inner_text(f"#{place}-complaint")
        assert await page.locator(f"#{place}").is_visible()
    assert await page.get_attribute("#q", "maxlength") == "100"
    await visitor.press("main a:has-text('Clear filters')")
    assert await page.locator("main .empty").count() == 1


@pytest.mark.timeout(300)
async def test_what_is_new_to_ones_firm_is_not_to_be_reviewed_and_what_one_sees_otherwise_is(platform, visit):
    one, two = firm_number(), firm_number()
    today = Clock.now().date()
    old, other = await platform.group(broker=one), await platform.group(broker=two)
    new = await platform.group(broker=one, acquired_on=(today - timedelta(days=30)).isoformat())
    own = await platform.group()
    broker = await visit()
    email = address("broker")
    await broker.become_primary(own, email)
    user_id = await broker.user_id()
    page = broker.page

    async def listed(path: str) -> set[str]:
        await broker.go(path)
        await broker.press("main .cards a[href*='/renewals/']")
        return {each["group_number"] for each in (old, other, new, own) if each["group_number"] in await page.content()}

    for firm, expected in ((one, {"old", "own"}), (two, {"old", "other", "own"})):
        await platform.join(firm, user_id)
        named = {"old": old, "other": other, "new": new, "own": own}
        wanted = {named[name]["group_number"] for name in expected}
        for path in ("/", "/renewals"):
            assert await listed(path) == wanted
            await page.go_back()
            main = await page.inner_text("main")
            assert f"{len(wanted)} renewals" in main
            assert "1 renewal is not listed: your firm acquired its group on" in main
            assert await page.locator("main a[href='/book']").count() == 1
    assert await listed(f"/renewals?firm={two}") == {other["group_number"]}
    assert await listed(f"/renewals?firm={one}") == {old["group_number"]}
    await broker.go("/book")
    assert new["group_number"] in await page.content()
