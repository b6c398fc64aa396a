"""What changes while one looks: on the screen without a reload, said politely, never moving the focus (point 14)."""

import asyncio
import re
from contextlib import suppress
from urllib.parse import unquote

import pytest
from playwright.async_api import Request, Route

from .people import PASSWORD, address
from .test_keyboard import standing_still

STAYED = "window.stayed"
"""Set on a page: gone when it is loaded again."""


@pytest.fixture
async def owner(platform, visit):
    """A group's primary at their browser, the group, and a transaction of theirs that is under review."""
    group = await platform.group()
    primary = await visit()
    await primary.become_primary(group, address("prim"))
    user_id = await primary.user_id()
    transaction_id = await platform.submitted(group, (user_id, PASSWORD))
    primary.account = (user_id, PASSWORD)
    return primary, group, transaction_id


async def stay(visitor, path):
    """Open a page, and mark it as the one that was opened."""
    await visitor.go(path)
    await visitor.page.evaluate(f"{STAYED} = true")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", ["/transactions", "/"])
async def test_a_status_changes_on_the_screen_and_is_said_and_the_focus_stays(platform, owner, path):
    primary, group, transaction_id = owner
    page = primary.page
    await stay(primary, path)
    place = "found" if path == "/transactions" else "recent"
    row = page.locator(f"#{place}-{transaction_id}")
    link = row.locator("a").first
    await link.focus()
    assert await page.locator("#waiting .tag").count() == 0

    await platform.send_back(transaction_id, "Add the W-9.")

    await row.get_by_text("Action required").wait_for()
    assert await page.evaluate(STAYED)
    assert await link.evaluate("each => each === document.activeElement")
    news = page.locator("#news")
    assert await news.get_attribute("role") == "status", "read out when nothing else is"
    said = await news.inner_text()
    assert group["legal_name"] in said
    assert "Action required" in said
    first = page.locator("main section").first
    assert "Add the W-9." in await first.inner_text(), "what is to be done comes first"
    assert (await page.inner_text("#waiting .tag")).split()[-1] == "1"

    await platform.submit_again(group, primary.account, transaction_id)

    await row.get_by_text("Pending review").wait_for()
    assert "Pending review" in await news.inner_text()
    assert "Add the W-9." not in await row.inner_text()
    assert await page.locator("#asked section").count() == 0
    assert await page.locator("#waiting .tag").count() == 0
    assert await link.evaluate("each => each === document.activeElement")


@pytest.mark.timeout(300)
async def test_a_count_that_could_not_be_had_is_asked_for_again(platform, owner):
    primary, _, transaction_id = owner
    page, asked = primary.page, 0

    async def first_without(route: Route) -> None:
        nonlocal asked
        answer = await route.fetch()
        text = await answer.text()
        if "covey-background" in route.request.headers:
            asked += 1
            if asked == 1:
                unknown = '<span id="waiting" data-changing data-unknown></span></a>'
                text, found = re.subn(r'<span id="waiting" data-changing>.*?</a>', unknown, text, flags=re.DOTALL)
                assert found == 1
        await route.fulfill(response=answer, body=text)

    await page.route("**/transactions", first_without)
    await stay(primary, "/transactions")

    await platform.send_back(transaction_id, "Add the W-9.")

    await page.locator("#waiting .tag").wait_for()
    assert (await page.inner_text("#waiting .tag")).split()[-1] == "1"
    assert asked > 1
    assert await page.evaluate(STAYED)


class Line:
    """A line to the portal that can be cut. A browser's cookies are good on it, too: they know no ports."""

    def __init__(self, portal: str) -> None:
        self._port = int(portal.rpartition(":")[2])
        self._ends: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        self._server.close()
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, to_portal = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends |= {writer, to_portal}
        with suppress(ConnectionError):
            await asyncio.gather(_pass_on(reader, to_portal), _pass_on(beyond, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


@pytest.mark.timeout(300)
async def test_after_a_cut_the_page_hears_of_what_it_missed_once(platform, owner):
    primary, _, transaction_id = owner
    page = primary.page
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/transactions/live" in request.url else None)
    line = Line(platform.portal)
    await line.mend()
    await page.goto(f"http://localhost:{line.port}/transactions")
    await page.evaluate(f"{STAYED} = true")
    row = page.locator(f"#found-{transaction_id}")
    async with page.expect_request(lambda request: "covey-background" in request.headers):
        await platform.claim(transaction_id)  # so that it has heard something, and knows how far

    await line.cut()
    await platform.send_back(transaction_id, "Add the W-9.")
    assert await row.get_by_text("Action required").count() == 0
    await line.mend()

    await row.get_by_text("Action required").wait_for()
    assert await page.evaluate(STAYED)
    assert await row.count() == 1
    assert await page.locator(f"#asked-{transaction_id}").count() == 1
    assert len(asked) > 1, "it was cut off, and came back"
    first, last = asked[0], await asked[-1].all_headers()
    assert last["last-event-id"] not in unquote(first.url), "from what it had heard since"
    await line.cut()
    line_is_cut, elsewhere = "net::ERR", f"asks for http://localhost:{line.port}"
    primary.noticed[:] = [each for each in primary.noticed if line_is_cut not in each and elsewhere not in each]


@pytest.mark.timeout(300)
async def test_a_page_goes_on_following_once_its_session_has_another_token(platform, owner, visit, another_portal):
    primary, _, transaction_id = owner
    line = Line(platform.run["services"]["transactions"])
    await line.mend()
    async with another_portal(transactions_url=f"http://127.0.0.1:{line.port}") as portal:
        visitor = await visit(at=portal)
        await visitor.page.context.add_cookies(await primary.page.context.cookies())
        await stay(visitor, "/transactions")
        former = await visitor.session_token()
        tab = await visitor.page.context.new_page()
        await tab.goto("/account/password")
        await tab.fill("[name=password]", PASSWORD)
        await tab.fill("[name=new_password]", "ten odd newts")
        async with tab.expect_navigation():
            await tab.click("main form button")
        assert await visitor.session_token() != former

        await line.cut()  # the stream asks again, with the cookie of when it began
        await line.mend()
        await platform.send_back(transaction_id, "Add the W-9.")

        await visitor.page.locator(f"#found-{transaction_id}").get_by_text("Action required").wait_for()
        assert await visitor.page.evaluate(STAYED)
        await visitor.leave()
        await line.cut()


@pytest.mark.timeout(300)
async def test_a_transaction_that_one_reads_follows_and_what_one_opened_stays_open(platform, owner):
    primary, group, transaction_id = owner
    page = primary.page
    await stay(primary, f"/transactions/{transaction_id}")
    summary = page.locator("#rounds summary")
    await summary.press("Enter")

    await platform.send_back(transaction_id, "Add the W-9.")

    await page.locator("#standing").get_by_text("Add the W-9.").wait_for()
    await page.locator("#rounds").get_by_text("Returned").first.wait_for()
    assert await page.evaluate(STAYED)
    assert await page.locator("#rounds details").get_attribute("open") is not None
    assert await page.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert group["legal_name"] in await page.inner_text("#news")


@pytest.mark.timeout(300)
async def test_a_transaction_leaves_the_screen_with_the_right_to_see_it(platform, owner, visit):
    primary, group, transaction_id = owner
    other, email = await visit(), address("sec")
    await primary.add_user(group, email, "Sec", "Ond")
    await other.register_and_sign_on(email, "Sec", "Ond")
    await other.fill(code=await platform.code(email, group["legal_name"]))
    await other.press("main form[action='/access-code'] button")
    await stay(other, f"/transactions/{transaction_id}")

    await primary.go(f"/groups/{group['group_id']}")
    await primary.confirm("main a[href$='/removal']", "/removal")

    await other.page.get_by_text("There is nothing here").wait_for()
    assert await other.page.evaluate("document.activeElement.tagName") == "H1"
    assert group["legal_name"] not in await other.page.title()
    assert group["legal_name"] not in await other.page.inner_text("body")
    assert await other.page.evaluate(STAYED)


@pytest.mark.timeout(300)
async def test_the_queue_of_reviews_is_live(platform, owner, visit):
    _, _, transaction_id = owner
    staff = await visit()
    await staff.sign_on_as_staff()
    await stay(staff, "/staff/reviews")
    row = staff.page.locator(f"#found-{transaction_id}")
    for _ in range(20):  # the oldest first, and other tests' before it
        if await row.count() or not await staff.page.locator("a[rel=next]").count():
            break
        await staff.press("a[rel=next]")
        await staff.page.evaluate(f"{STAYED} = true")
    waiting = int(re.sub(r"\D", "", await staff.page.inner_text("#waiting .tag")))

    await row.locator("a").focus()
    await platform.claim(transaction_id)
    await row.get_by_text("You", exact=True).wait_for()
    assert await row.locator("a").evaluate("each => each === document.activeElement")
    await platform.send_back(transaction_id, "Add the W-9.")
    await row.wait_for(state="detached")

    assert await staff.page.evaluate(STAYED)
    assert await staff.page.evaluate("document.activeElement.matches('.table, main')"), "where it was, nothing is"
    assert int(re.sub(r"\D", "", await staff.page.inner_text("#waiting")) or 0) == waiting - 1


@pytest.mark.timeout(300)
async def test_whoever_only_watches_is_signed_off_in_time(platform, owner):
    """What the page asks for by itself does not count as using the session; what somebody asks for does."""
    primary, _, transaction_id = owner
    page = primary.page

    async def idle_ends() -> str:
        shown = await page.request.get("/transactions", headers={"Covey-Background": "1"})
        found = re.search(r"data-idle-s=\"(\d+)\"", await shown.text())
        assert found
        return found[1]

    await stay(primary, "/transactions")
    await page.wait_for_timeout(2_500)
    before = await idle_ends()
    await platform.send_back(transaction_id, "Add the W-9.")
    await page.locator(f"#found-{transaction_id}").get_by_text("Action required").wait_for()

    assert int(await idle_ends()) <= int(before)
    await primary.go("/transactions")
    assert int(await idle_ends()) > int(before)


@pytest.mark.timeout(300)
async def test_how_far_a_change_is_is_asked_until_it_is_known_and_said_once(platform, visit):
    """Nothing is replaced, and so nothing is read out, before that; whatever cannot be had meanwhile is asked for again."""
    group = await platform.group()
    primary = await visit()
    await primary.become_primary(group, address("prim"))
    await primary.add_user(group, address("sec"), "Sec", "Ond")
    page, troubles = primary.page, ["lost", "away"]

    async def troubled(route: Route) -> None:
        match troubles.pop(0) if troubles else "":
            case "lost":
                await route.abort()
            case "away":
                await route.fulfill(status=503, content_type="text/html", body="<main><h1>Not now</h1></main>")
            case _:
                await route.continue_()

    await primary.go(f"/groups/{group['group_id']}")
    with standing_still(platform.run["pids"]["renewals"]):
        await primary.confirm("main a[href$='/removal']", "/removal")
        await page.evaluate("document.querySelector('#progress .calm').kept = true")
        async with page.expect_response("**/changes/*") as asked:
            pass
        assert (await asked.value).status == 204
        assert await page.evaluate("document.querySelector('#progress .calm').kept")
        await page.route("**/changes/*", troubled)
    await page.locator("#progress .said.good").wait_for()

    assert troubles == []
    assert await page.locator("h1").count() == 1
    expected = ("net::ERR", "status of 503", "htmx:")
    primary.noticed[:] = [each for each in primary.noticed if not any(known in each for known in expected)]
