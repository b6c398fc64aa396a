"""Searches that one saves: by name, one of them seen first, passed on by their address, deleted (page point 11)."""

import pytest

from .people import PASSWORD, Visitor, address

WAYS = [
    pytest.param("en-US", True, ("Save this search", "Saved searches"), id="english"),
    pytest.param("es-US", False, ("Guardar esta búsqueda", "Búsquedas guardadas"), id="spanish-without-scripts"),
]
FIRST = "nav a[href='/transactions']"
SAVE = "#filters button[formaction]"


async def tabs(visitor: Visitor) -> list[str]:
    return await visitor.page.locator("main .tabs a").all_inner_texts()


async def current(visitor: Visitor) -> list[str]:
    return await visitor.page.locator("main .tabs a[aria-current]").all_inner_texts()


async def found(visitor: Visitor) -> int:
    return await visitor.page.locator("#found tbody tr").count()


async def save(visitor: Visitor, query: str, name: str, *, first: bool = False) -> None:
    await visitor.go(f"/transactions?{query}")
    await visitor.press(SAVE)
    await visitor.fill(name=name)
    if first:
        await visitor.page.check("#default")
    await visitor.press()


async def new_person(visitor: Visitor) -> Visitor:
    await visitor.register_and_sign_on(address("new"), "Noe", "Vice")
    return visitor


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "scripts", "words"), WAYS)
async def test_a_search_is_saved_by_name_and_the_default_one_is_seen_first(platform, visit, language, scripts, words):
    group = await platform.group()
    primary = await visit(language=language, scripts=scripts)
    await primary.become_primary(group, address("prim"))
    user_id = await primary.user_id()
    await platform.submitted(group, (user_id, PASSWORD))
    page = primary.page

    await primary.go("/transactions?status=pending+review&sort=group")
    assert words[0] in await page.inner_text("#filters")
    assert await tabs(primary) == []
    await save(primary, "status=pending+review&sort=group", "  Under \t review ", first=True)

    assert await page.locator("main .said.good[role=status]").count() == 1
    assert await current(primary) == ["Under review"]
    assert (await page.input_value("#status"), await found(primary)) == ("pending review", 1)
    assert ("said" in page.url) != scripts, "said once; without scripts, for as long as one is there"
    assert await page.locator("[aria-sort=ascending]").count() == 1

    await save(primary, "status=completed", "Approved")
    assert await tabs(primary) == [await page.locator("main .tabs a").first.inner_text(), "Approved", "Under review"]
    await primary.press(FIRST)
    assert await current(primary) == ["Under review"]
    assert "status=pending" in page.url, "its address can be passed on"
    assert await page.locator("main .said").count() == 0

    await primary.press("main .tabs a >> nth=0")
    assert (await page.input_value("#status"), await found(primary)) == ("", 1)
    await primary.go("/transactions?status=declined")
    assert await current(primary) == []
    await primary.press("main .empty a")
    assert await found(primary) == 1, "without filters, whatever is seen first"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_which_is_seen_first_is_chosen_and_one_is_deleted_when_asked(visit, scripts):
    visitor = await new_person(await visit(scripts=scripts))
    page = visitor.page
    await visitor.go("/transactions/searches")
    assert await page.locator("main .empty").count() == 1
    await save(visitor, "status=open", "A")
    await save(visitor, "q=oak&created_from=2026-01-02&created_to=2026-02-03&group_number=G-1", "B", first=True)

    await visitor.go("/transactions/searches")
    rows = page.locator("main tbody tr")
    said = await rows.nth(1).inner_text()
    assert all(each in said for each in ("oak", "January 2, 2026", "February 3, 2026", "G-1", "What you see first"))
    await visitor.press("main tbody tr:nth-child(1) form button")
    assert "What you see first" in await rows.nth(0).inner_text()
    assert "What you see first" not in await rows.nth(1).inner_text(), "one at a time"
    await visitor.go("/transactions")
    assert await current(visitor) == ["A"]

    await visitor.go("/transactions/searches")
    await visitor.confirm("main tbody tr:nth-child(1) a[href$='/deletion']", "/deletion")
    assert visitor.path == "/transactions/searches"
    assert await rows.count() == 1
    await visitor.go("/transactions")
    assert page.url.endswith("/transactions"), "nothing is seen first any more"
    assert await current(visitor) == ["All transactions"]

    for chosen in (True, False):
        await visitor.go("/transactions/searches")
        await visitor.press("main tbody form button")
        await visitor.go("/transactions")
        assert ("q=oak" in page.url) == chosen


@pytest.mark.timeout(300)
async def test_whoever_opens_the_address_of_a_search_sees_what_is_theirs(platform, visit):
    owner, other, stranger = [await visit() for _ in range(3)]
    groups = [await platform.group() for _ in range(2)]
    for visitor, group in zip((owner, other), groups, strict=True):
        await visitor.become_primary(group, address("prim"))
        user_id = await visitor.user_id()
        await platform.submitted(group, (user_id, PASSWORD))
    await new_person(stranger)
    await save(owner, "status=pending+review", "Mine alone", first=True)
    link = f"{owner.page.url}&said=saved"
    await owner.go("/transactions/searches")
    deletion = await owner.page.locator("a[href$='/deletion']").get_attribute("href")

    for visitor, named in ((owner, groups[:1]), (other, groups[1:]), (stranger, [])):
        answer = await visitor.page.goto(link)
        assert answer.status == 200
        assert await found(visitor) == len(named)
        shown = await visitor.page.content()
        assert [each for each in groups if each["group_number"] in shown] == named
        assert ("Mine alone" in shown) == (visitor is owner)
        assert await visitor.page.locator("main .said").count() == (visitor is owner), "nobody else has saved anything"
    answer = await other.page.goto(deletion)
    assert answer.status == 404
    assert "Mine alone" not in await other.page.content()
    answer = await other.page.request.post(deletion, headers={"Origin": platform.portal})
    assert answer.status == 404
    await owner.page.reload()
    assert "Mine alone" in await owner.page.inner_text("main")


@pytest.mark.timeout(300)
async def test_what_waits_for_one_is_first_where_the_default_search_would_leave_it_out(platform, visit):
    group = await platform.group()
    primary = await visit()
    await primary.become_primary(group, address("prim"))
    user_id = await primary.user_id()
    await platform.send_back(await platform.submitted(group, (user_id, PASSWORD)), "Add the W-9.")

    for query, places in (
        ("status=action+required&q=nobody", 1),
        ("status=completed", 1),
        ("status=action+required", 0),
    ):
        await save(primary, query, query, first=True)
        await primary.press(FIRST)

        assert await current(primary) == [query]
        assert await primary.page.locator("#asked tbody tr").count() == places
        assert "Add the W-9." in await primary.page.inner_text("main")


@pytest.mark.timeout(200)
async def test_what_another_tab_has_deleted_is_said_to_be_gone(visit):
    visitor = await new_person(await visit(scripts=False))
    await save(visitor, "status=open", "Open")
    await visitor.go("/transactions/searches")
    tab = await visitor.page.context.new_page()
    await tab.goto("/transactions/searches")
    await visitor.confirm("main a[href$='/deletion']", "/deletion")

    async with tab.expect_navigation():
        await tab.click("main tbody form button")

    assert "no such search any more" in await tab.inner_text("#problem")
    assert await tab.locator("main .empty").count() == 1


@pytest.mark.timeout(200)
async def test_a_name_that_cannot_be_is_complained_of_and_the_search_is_kept(visit):
    visitor = await new_person(await visit())
    page = visitor.page
    await save(visitor, "status=open", "Open")

    await visitor.go("/transactions/searches/new?q=oak&sort=group")
    for name in ("", "OPEN"):
        await visitor.fill(name=name)
        await page.check("#default")
        await visitor.press()
        assert (await page.title()).startswith("Error: ")
        assert await page.inner_text("#problem a") in await page.inner_text("#name-complaint")
        assert "oak" in await page.inner_text("main")
        assert await page.is_checked("#default")
    assert "already" in await page.inner_text("#problem")
    await visitor.fill(name="Oak")
    await visitor.press()
    assert await current(visitor) == ["Oak"]
    assert "q=oak&sort=group" in page.url


@pytest.mark.timeout(200)
async def test_what_cannot_be_looked_for_is_not_saved_but_said_to_be_wrong(visit):
    visitor = await new_person(await visit())

    for query in ("created_from=1700000000", "status=gone", f"q={'x' * 101}"):
        await visitor.go(f"/transactions/searches/new?{query}")

        assert visitor.path == "/transactions"
        named = await visitor.page.locator("#problem a").get_attribute("href")
        assert named == f"#{query.partition('=')[0]}"
        assert await visitor.page.locator(f"{named}-complaint").count() == 1
    for long in ("x" * 20_000, "x" * 70_000):
        form = {"name": "", "q": long}
        answer = await visitor.page.request.post(
            "/transactions/searches/new", form=form, headers={"Origin": visitor.platform.portal}
        )
        assert answer.status in (414, 422)


@pytest.mark.timeout(200)
async def test_a_page_that_follows_changes_stays_when_another_search_is_to_be_seen_first(visit):
    visitor = await new_person(await visit())
    await save(visitor, "status=open", "Open", first=True)

    looked_at = await visitor.page.request.get("/transactions", max_redirects=0)
    followed = await visitor.page.request.get("/transactions", headers={"Covey-Background": "1"}, max_redirects=0)

    assert (looked_at.status, followed.status) == (303, 200)
    assert looked_at.headers["location"] == "/transactions?status=open&sort=-created"
